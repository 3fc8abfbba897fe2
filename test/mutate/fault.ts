/** A fault in one place of the source: what stands there, and what is put there instead. */
export interface Fault {
  /** Path from the root of the project. */
  file: string
  /** Where it begins, counted from 1. */
  line: number
  /** Characters of the file that are replaced: from `start` up to `end`. */
  start: number
  end: number
  replacement: string
  /** What was done, such as `condition`; `by hand` for one of the kept list. */
  kind: string
  /** The lines that change, without what stands around them: as they are, and with the fault. */
  before: string
  after: string
  /** The file of tests that must notice it; without it whichever of the folder's tests run its code. */
  noticedBy?: string
}

/** A fault made by hand: a mistake that somebody could make, and that a fast test must notice. */
export interface HandMadeFault {
  file: string
  /** What stands there; exactly once in the file. */
  find: string
  replace: string
  /** What is wrong then. */
  why: string
  /** The file of tests that must notice it. */
  noticedBy: string
}

/** A fault that no test can or should notice, with the reason; an entry stands for a line without the fault. */
export interface ExplainedSurvivor {
  file: string
  /** The line or as much of it as tells it from others of its file. */
  line: string
  /** Parts of the line with the fault, if only such are explained; without it whatever is done to the line. */
  after?: readonly string[]
  why: string
}

/** The fault that replaces `start` to `end` of `text`. */
export function faultAt(
  { file, text }: { file: string; text: string },
  { start, end, replacement, kind }: Pick<Fault, 'start' | 'end' | 'replacement' | 'kind'>,
): Fault {
  const lineStart = text.lastIndexOf('\n', start - 1) + 1
  const nextFeed = text.indexOf('\n', end)
  const lineEnd = nextFeed === -1 ? text.length : nextFeed
  const oneLine = (lines: string): string => lines.trim().replace(/\s*\n\s*/g, ' ')
  return {
    file, start, end, replacement, kind,
    line: text.slice(0, start).split('\n').length,
    before: oneLine(text.slice(lineStart, lineEnd)),
    after: oneLine(text.slice(lineStart, start) + replacement + text.slice(end, lineEnd)),
  }
}

/** The text of a file with the fault in it. */
export function withFault(text: string, { start, end, replacement }: Fault): string {
  return text.slice(0, start) + replacement + text.slice(end)
}

/** The folder of src that a fault is in. */
export function folderOf(fault: { file: string }): string {
  return fault.file.split('/')[1]!
}

/** A fault for people: where, what stands there, and what instead. */
export function describeFault({ file, line, kind, before, after }: Fault): string {
  return `${file}:${line} (${kind})\n  - ${before}\n  + ${after}`
}
