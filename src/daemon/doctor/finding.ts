export type Verdict = 'ok' | 'warning' | 'broken'

/** What one check found, and what to do about it. */
export interface Finding {
  /** What was looked at, such as `lane`. */
  check: string
  /** Of which host, guest or address, where there are several. */
  about: string | null
  verdict: Verdict
  /** As a sentence. */
  found: string
  /** What to do next, as a sentence; null where nothing is wrong. */
  advice: string | null
}

/** The findings of one check; `about` tells several apart. */
export function check(name: string, about: string | null = null): {
  ok(found: string): Finding
  warning(found: string, advice: string): Finding
  broken(found: string, advice: string): Finding
} {
  const finding = (verdict: Verdict, found: string, advice: string | null): Finding =>
    ({ check: name, about, verdict, found, advice })
  return {
    ok: (found) => finding('ok', found, null),
    warning: (found, advice) => finding('warning', found, advice),
    broken: (found, advice) => finding('broken', found, advice),
  }
}
