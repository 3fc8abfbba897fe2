import type { ExplainedSurvivor } from './fault.ts'

const FAR_ABOVE = 'a bound far above all real values, so that no test comes near it'

/** Faults that may survive in the code about guests, and in the code under all folders. */
export const GUEST_SURVIVORS: readonly ExplainedSurvivor[] = [
  // guest
  {
    file: 'src/guest/description.ts', line: 'export const DESCRIPTION_BYTES_MAX = 48 * 1024',
    why: 'three quarters of a message, which leaves room for its other fields: a little more or less fits as well',
  },
  {
    file: 'src/guest/devicetree.ts', line: 'return devices.sort((a, b) => orderOf(a) < orderOf(b) ? -1 : 1)',
    after: ['<= orderOf(b)', '? -2 : 1', '? -1 : 2'],
    why: 'two devices of one type at one place may come in either order, and only the sign matters',
  },
  {
    file: 'src/guest/discovery.ts', line: '.sort((a, b) => (a.name < b.name ? -1 : 1))',
    after: ['<= b.name', '? -2 : 1', '? -1 : 2'],
    why: 'no two guests have the same name, and only the sign matters',
  },
  {
    file: 'src/guest/discovery.ts', line: 'guest.close()', after: ['void guest.close()', 'void found.guest.close()'],
    why: 'its files are closed before the promise exists',
  },
  { file: 'src/guest/discovery.ts', line: 'const SOCKETS_MAX = 4_096', why: FAR_ABOVE },
  {
    file: 'src/guest/discovery.ts', line: 'if (sockets.size >= SOCKETS_MAX) {',
    after: ['if (false)', 'sockets.size > SOCKETS_MAX'], why: 'it shows only with thousands of sockets',
  },
  {
    file: 'src/guest/qmp.ts', line: 'await this.#closed.promise', after: ['void this.#closed.promise'],
    why: 'the connection is closed by then; Node only has not reported it yet',
  },
  { file: 'src/guest/peer.ts', line: 'const ANSWER_MS_MAX = 5_000', why: FAR_ABOVE },
  { file: 'src/guest/peer.ts', line: 'const ANSWER_BYTES_MAX = 1024 * 1024', after: ['1025'], why: FAR_ABOVE },
  { file: 'src/guest/qmpline.ts', line: 'lineBytesMax: 16 * 1024 * 1024,', after: ['17', '1025'], why: FAR_ABOVE },
  { file: 'src/guest/rendezvous.ts', line: 'const ACCEPT_MS_MAX = 60_000', why: FAR_ABOVE },
  {
    file: 'src/guest/settings.ts', line: 'const REST_TIMEOUT_MS = 10_000', why: 'it is polled only every 50 ms',
  },
  {
    file: 'src/guest/socketendpoint.ts', line: 'const READ_BYTES = 256 * 1024', after: ['257', '1025'],
    why: 'the size of one read: the bytes are the same in any pieces',
  },
  {
    file: 'src/guest/outgoingdriver.ts', after: ['= false ? {}'],
    line: 'const downtime = this.#downtimeMsMax === undefined ? {} : { maxDowntimeMs: this.#downtimeMsMax }',
    why: 'an undefined limit is the same as none',
  },
  {
    file: 'src/guest/qmpdriver.ts', line: 'const undo = this.#undo === undefined ? {} : { undo: this.#undo }',
    after: ['= false ? {}'], why: 'undefined means that there is nothing to undo',
  },
  {
    file: 'src/guest/processmemory.ts', line: 'throw error', after: [';'],
    why: 'a user who may open one file may open the other: only a process that ends in between gets here',
  },
  {
    file: 'src/guest/process.ts', line: 'if (fields === undefined || fields[0] === \'Z\' || fields[0] === \'X\')',
    after: ['fields[1] === \'X\'', 'fields[0] === \'changed\') return'],
    why: 'a process in that state is leaving the process table, and is hardly ever seen there',
  },
  {
    file: 'src/guest/processmemory.ts', line: 'const PAGEMAP_PAGES = 32 * 1024', after: ['33', '1025'],
    why: 'the number of entries per read; the result is the same',
  },
  {
    file: 'src/guest/processmemory.ts', line: 'if (this.#entries.length < count * PAGEMAP_ENTRY_BYTES) this.#entries =',
    after: ['if (true)', '<= count'], why: 'a new buffer is made instead of reusing one',
  },
  {
    file: 'src/guest/room.ts', line: 'await setMode(', after: ['void setMode('],
    why: 'the order matters only if the buffer is changed at the same moment',
  },
  {
    file: 'src/guest/unixsockets.ts', line: 'if (held.size === 0) return []', after: ['if (false)'],
    why: 'none of the sockets read then is held either',
  },
  // runtime
  {
    file: 'src/net/endpoint.ts', line: 'this.#pieces.length = 0',
    why: 'the pieces are not read after the reader has closed; it only frees memory',
  },
  {
    file: 'src/net/endpoint.ts', line: 'this.#isNewsDue = true',
    why: 'a second call for the same news finds nothing to take',
  },
  {
    file: 'src/runtime/throttle.ts', line: 'if (this.#rate === Infinity) return', after: ['if (false) return'],
    why: 'with unlimited tokens there is no wait in any case: it only saves the arithmetic',
  },
]
