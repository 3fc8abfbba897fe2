/** A fault in one place of the source: the present text, and its replacement. */
export interface Fault {
  /** Path from the root of the project. */
  file: string
  /** Its first line, from 1. */
  line: number
  /** Replaced characters of the file: from `start` up to `end`. */
  start: number
  end: number
  replacement: string
  /** The kind of change, such as `condition`; `by hand` for one of the kept list. */
  kind: string
  /** The changed lines, without their surroundings: as they are, and with the fault. */
  before: string
  after: string
  /** The test file that must notice it; without it any of the folder's tests that run its code. */
  noticedBy?: string
}

/** A fault made by hand: a plausible mistake that a fast test must notice. */
export interface HandMadeFault {
  file: string
  /** The present text; exactly once in the file. */
  find: string
  replace: string
  /** The consequence. */
  why: string
  /** The test file that must notice it. */
  noticedBy: string
}

/** A fault that no test can or should notice, with the reason; an entry names a line without the fault. */
export interface ExplainedSurvivor {
  file: string
  /** The line, or enough of it to be unique in its file. */
  line: string
  /** Parts of the line with the fault, if only such are explained; without it any change of the line. */
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

/** The folder of src that contains a fault. */
export function folderOf(fault: { file: string }): string {
  return fault.file.split('/')[1]!
}

/** A fault for people: its place, the present text, and the replacement. */
export function describeFault({ file, line, kind, before, after }: Fault): string {
  return `${file}:${line} (${kind})\n  - ${before}\n  + ${after}`
}
