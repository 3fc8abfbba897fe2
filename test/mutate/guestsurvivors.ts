import type { ExplainedSurvivor } from './fault.ts'

const FAR_ABOVE = 'a bound far above anything that is met: near it nothing changes'

/** Faults that may survive in the code about guests, and in the code under all folders. */
export const GUEST_SURVIVORS: readonly ExplainedSurvivor[] = [
  // guest
  {
    file: 'src/guest/description.ts', line: 'export const DESCRIPTION_BYTES_MAX = 48 * 1024',
    why: 'three quarters of what a message carries, for what else is in it: a little more or less fits as well',
  },
  {
    file: 'src/guest/devicetree.ts', line: 'return devices.sort((a, b) => orderOf(a) < orderOf(b) ? -1 : 1)',
    after: ['<= orderOf(b)', '? -2 : 1', '? -1 : 2'],
    why: 'of two devices of one type at one place either may come first, and the sign is all that counts',
  },
  {
    file: 'src/guest/discovery.ts', line: '.sort((a, b) => (a.name < b.name ? -1 : 1))',
    after: ['<= b.name', '? -2 : 1', '? -1 : 2'],
    why: 'no two guests have one name, and the sign is all that counts',
  },
  {
    file: 'src/guest/discovery.ts', line: 'guest.close()', after: ['void guest.close()', 'void found.guest.close()'],
    why: 'its files are closed before the promise is made',
  },
  { file: 'src/guest/discovery.ts', line: 'const SOCKETS_MAX = 4_096', why: FAR_ABOVE },
  {
    file: 'src/guest/discovery.ts', line: 'if (sockets.size >= SOCKETS_MAX) {',
    after: ['if (false)', 'sockets.size > SOCKETS_MAX'], why: 'it would take some thousand sockets to see',
  },
  {
    file: 'src/guest/qmp.ts', line: 'await this.#closed.promise', after: ['void this.#closed.promise'],
    why: 'the connection is closed by then, and only Node has not said so yet',
  },
  { file: 'src/guest/peer.ts', line: 'const ANSWER_MS_MAX = 5_000', why: FAR_ABOVE },
  { file: 'src/guest/peer.ts', line: 'const ANSWER_BYTES_MAX = 1024 * 1024', after: ['1025'], why: FAR_ABOVE },
  { file: 'src/guest/qmpline.ts', line: 'lineBytesMax: 16 * 1024 * 1024,', after: ['17', '1025'], why: FAR_ABOVE },
  { file: 'src/guest/rendezvous.ts', line: 'const ACCEPT_MS_MAX = 60_000', why: FAR_ABOVE },
  {
    file: 'src/guest/settings.ts', line: 'const REST_TIMEOUT_MS = 10_000', why: 'it is looked at every 50 ms only',
  },
  {
    file: 'src/guest/socketendpoint.ts', line: 'const READ_BYTES = 256 * 1024', after: ['257', '1025'],
    why: 'what one read brings at most: the bytes are the same in any pieces',
  },
  {
    file: 'src/guest/outgoingdriver.ts', after: ['= false ? {}'],
    line: 'const downtime = this.#downtimeMsMax === undefined ? {} : { maxDowntimeMs: this.#downtimeMsMax }',
    why: 'a limit that is undefined is as good as none',
  },
  {
    file: 'src/guest/qmpdriver.ts', line: 'const undo = this.#undo === undefined ? {} : { undo: this.#undo }',
    after: ['= false ? {}'], why: 'what is undefined is nothing to be undone',
  },
  {
    file: 'src/guest/processmemory.ts', line: 'throw error', after: [';'],
    why: 'who may open the one file may open the other: only a process that ends between the two comes here',
  },
  {
    file: 'src/guest/process.ts', line: 'if (fields === undefined || fields[0] === \'Z\' || fields[0] === \'X\')',
    after: ['fields[1] === \'X\'', 'fields[0] === \'changed\') return'],
    why: 'a process in that state is on its way out of the table, and is met there hardly ever',
  },
  {
    file: 'src/guest/processmemory.ts', line: 'const PAGEMAP_PAGES = 32 * 1024', after: ['33', '1025'],
    why: 'how many are looked at in one read; what is found is the same',
  },
  {
    file: 'src/guest/processmemory.ts', line: 'if (this.#entries.length < count * PAGEMAP_ENTRY_BYTES) this.#entries =',
    after: ['if (true)', '<= count'], why: 'room is made anew that would have been used again',
  },
  {
    file: 'src/guest/room.ts', line: 'await setMode(', after: ['void setMode('],
    why: 'what comes first matters only to somebody who changes the room in that very moment',
  },
  {
    file: 'src/guest/unixsockets.ts', line: 'if (held.size === 0) return []', after: ['if (false)'],
    why: 'of the sockets that are read then none is held either',
  },
  // runtime
  {
    file: 'src/net/endpoint.ts', line: 'this.#pieces.length = 0',
    why: 'nobody takes the pieces once the reader has closed; it only lets go of memory',
  },
  {
    file: 'src/net/endpoint.ts', line: 'this.#isNewsDue = true',
    why: 'whoever is told of the same news once more finds nothing to take',
  },
  {
    file: 'src/host/exposure.ts', line: '.split(\'/\').filter((name) => name !== \'\')',
    after: ['name !== \'changed\''], why: 'an empty name leads to where one is already',
  },
  {
    file: 'src/runtime/throttle.ts', line: 'if (this.#rate === Infinity) return', after: ['if (false) return'],
    why: 'with no end of tokens nobody waits in any case: it only spares the arithmetic',
  },
]
