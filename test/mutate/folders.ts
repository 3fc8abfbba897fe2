/** Folders whose tests must notice at least this share of the faults. */
export const JUDGED_FOLDERS = [
  'passage', 'conversation', 'transfer', 'handoff', 'relay', 'page', 'mesh', 'guest', 'bytes', 'host', 'net', 'runtime',
  'text',
]
export const KILLED_SHARE_MIN = 0.85

/** Fast tests of other folders that are closely built on this one. */
const OTHER_TESTS: Record<string, readonly string[]> = {
  bytes: ['test/unit/page/prefixset.test.ts', 'test/unit/page/rising.test.ts'],
  conversation: ['test/sim/handoff*.test.ts'],
  guest: ['test/unit/census/*.test.ts'],
}

/** The test files for a fault in a folder of src, as globs. */
export function testsOf(folder: string): string[] {
  return [`test/unit/${folder}/**/*.test.ts`, `test/fuzz/${folder}.test.ts`, ...(OTHER_TESTS[folder] ?? [])]
}
