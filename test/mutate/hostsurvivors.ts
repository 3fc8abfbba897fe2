import type { ExplainedSurvivor } from './fault.ts'

const IN_A_NAMESPACE = 'it shows only in a user namespace without root, which not every machine lets a test make'
const SOON_ENOUGH = 'what follows takes longer than this, so that nobody sees that it is not waited for'
const BEFORE_IT_GOES = 'no test can make the file go, or change, between two looks'

/** Faults that may survive in src/host. */
export const HOST_SURVIVORS: readonly ExplainedSurvivor[] = [
  {
    file: 'src/host/cores.ts', line: 'export const CORES_TO_SPARE_MIN = 8',
    why: 'a choice: handoffs work with any number of threads',
  },
  // exposure.ts
  { file: 'src/host/exposure.ts', line: 'const NOBODY = 65534', why: IN_A_NAMESPACE },
  { file: 'src/host/exposure.ts', line: 'return isMapped(map, NOBODY) ? [] : [NOBODY]', why: IN_A_NAMESPACE },
  {
    file: 'src/host/exposure.ts', line: '.split(\'/\').filter((name) => name !== \'\')',
    after: ['name !== \'changed\''], why: 'an empty name leads to the current directory',
  },
  { file: 'src/host/exposure.ts', line: 'continue', why: 'it only looks at the root again, where the way began' },
  {
    file: 'src/host/exposure.ts', line: 'const [first = 0, , count = 0] =', after: ['first = 1'],
    why: 'the first word of an empty line is empty, which counts as 0: the default is not used',
  },
  {
    file: 'src/host/rights.ts', line: 'return Array.from({ length: 64 }, (_, bit) => bit)', after: ['length: 65'],
    why: 'the kernel tells of 64 bits',
  },
  // socketfile.ts
  {
    file: 'src/host/socketfile.ts', line: 'if (code === undefined || code === \'EAGAIN\') {', after: ['\'changed\''],
    why: 'Node accepts all: only a stopped process has a full queue, as in the tests of daemon/control',
  },
  {
    file: 'src/host/socketfile.ts', line: 'if (code !== \'ECONNREFUSED\' && code !== \'ENOENT\')',
    after: ['\'changed\''], why: BEFORE_IT_GOES,
  },
  { file: 'src/host/socketfile.ts', line: 'await makePassable(dirname(path))', after: ['void'], why: SOON_ENOUGH },
  { file: 'src/host/socketfile.ts', line: 'await chmod(boundAt, mode)', after: ['void'], why: SOON_ENOUGH },
  { file: 'src/host/socketfile.ts', line: 'await rename(boundAt, path)', after: ['void'], why: SOON_ENOUGH },
  {
    file: 'src/host/socketfile.ts', line: 'await rm(directory, { recursive: true, force: true })',
    after: ['force: false'], why: BEFORE_IT_GOES,
  },
  {
    file: 'src/host/socketfile.ts', line: 'if (server.listening) server.close()', after: ['if (true)'],
    why: 'to close what does not listen does nothing',
  },
  {
    file: 'src/host/socketfile.ts', line: 'await chown(file, process.geteuid?.() ?? 0, gid)', after: ['?? 1'],
    why: 'Linux has geteuid',
  },
  {
    file: 'src/host/socketfile.ts', line: 'if (systemErrorCode(cause) !== \'EPERM\') throw cause',
    after: ['if (false)'], why: BEFORE_IT_GOES,
  },
  {
    file: 'src/host/socketfile.ts', line: 'if (file?.ino === inode) await rm(path, { force: true })',
    after: ['force: false'], why: BEFORE_IT_GOES,
  },
  {
    file: 'src/host/socketfile.ts', line: '...(cause === undefined ? {} : { cause }),', after: ['false ? {}'],
    why: 'an error takes an undefined cause for none',
  },
]
