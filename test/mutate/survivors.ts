import type { ExplainedSurvivor } from './fault.ts'
import { GUEST_SURVIVORS } from './guestsurvivors.ts'
import { HANDOFF_SURVIVORS } from './handoffsurvivors.ts'
import { HOST_SURVIVORS } from './hostsurvivors.ts'
import { MESH_SURVIVORS } from './meshsurvivors.ts'
import { RELAY_SURVIVORS } from './relaysurvivors.ts'

/** Reading or writing past the end of a typed array does nothing. */
const PAST_THE_END = 'one more index is past the end of a typed array: reading gives undefined, writing does nothing'
const ROOM = 'a writer\'s initial or grown room; the written bytes are the same'
const ONLY_SPEED = 'it decides how fast the result is found, not the result'

export const EXPLAINED_SURVIVORS: readonly ExplainedSurvivor[] = [
  ...GUEST_SURVIVORS,
  ...HANDOFF_SURVIVORS,
  ...HOST_SURVIVORS,
  ...MESH_SURVIVORS,
  ...RELAY_SURVIVORS,
  // page/fetchedpages.ts
  {
    file: 'src/page/fetchedpages.ts', line: 'bytes.copy(chunk, offset, page * PAGE_BYTES, (page + 1) * PAGE_BYTES)',
    after: ['(page + 2)'], why: 'the next page overwrites the surplus bytes, or they are not read',
  },
  // page/inventory.ts
  {
    file: 'src/page/inventory.ts', why: PAST_THE_END,
    line: 'while (number < prefixes.length && prefixes[number]! < prefix) number += 1',
    after: ['while (number <= prefixes.length'],
  },
  // page/packing.ts
  {
    file: 'src/page/packing.ts', line: 'const PAGES_LEVEL = 1',
    why: 'a trade of time for bytes, which test/bench measures',
  },
  { file: 'src/page/packing.ts', line: 'const AT_ONCE_BYTES = 16 * 1024', why: ONLY_SPEED },
  {
    file: 'src/page/packing.ts', why: ONLY_SPEED,
    line: 'const options = { params: paramsOf(PAGES_LEVEL), chunkSize: Math.max(1024, bytes.length >>> 1) }',
  },
  {
    file: 'src/page/packing.ts', why: ONLY_SPEED,
    line: 'const packed = bytes.length <= AT_ONCE_BYTES ? zstdCompressSync(bytes, options)',
  },
  {
    file: 'src/page/packing.ts', line: 'return packed.length < bytes.length ? packed : bytes',
    after: ['return packed.length <= bytes.length ? packed : bytes'],
    why: 'no input is known that zstd compresses to exactly its own length',
  },
  {
    file: 'src/page/packing.ts', line: 'if (bytes.length === 0) return bytes',
    why: 'zstd does not shrink an empty input',
    after: ['if (false) return bytes', 'if (bytes.length === 1) return bytes'],
  },
  {
    file: 'src/page/packing.ts', line: 'const room = Math.max(64, length)', after: ['Math.max(65, length)'],
    why: 'the least room that Node accepts; any similar size works',
  },
  // page/prefixset.ts
  {
    file: 'src/page/prefixset.ts', line: 'const needed = SPARE_BITS + Math.ceil(Math.log2(Math.max(2, count)))',
    after: ['Math.max(3, count)'], why: 'the least of 40 bits covers both',
  },
  {
    file: 'src/page/prefixset.ts', after: ['(bits === 32 ? 0 : (low << 0) >>> (64 - bits))'],
    line: 'return (high >>> 0) * 2 ** (bits - 32) + (bits === 32 ? 0 : (low >>> 0) >>> (64 - bits))',
    why: 'the next shift uses the bits whatever their sign',
  },
  {
    file: 'src/page/prefixset.ts', line: 'return ((prefix % 2 ** (bits - 32)) * 2 ** (64 - bits)) >>> 0',
    after: ['return ((prefix % 2 ** (bits + 32)) * 2 ** (64 - bits)) >>> 0'],
    why: 'the surplus bits of the remainder are above the 32 that are kept',
  },
  {
    file: 'src/page/prefixset.ts', why: 'the writer\'s initial room; it grows when used up',
    line: 'const out = new BitWriter(HEADER_BYTES + Math.ceil((count * (rice + 3)) / 8) + 8)',
  },
  {
    file: 'src/page/prefixset.ts', why: 'reading finds the same fault; only the allocation before differs',
    line: 'if (count * (rice + 1) > (bytes.length - HEADER_BYTES) * 8) throw badSet(\'it is cut short\')',
  },
  // page/prefixtable.ts
  {
    file: 'src/page/prefixtable.ts', line: 'constructor(expectedEntries = 0) {',
    why: 'the least capacity covers none and one',
  },
  {
    file: 'src/page/prefixtable.ts', why: 'at 32 bits the mask is 0 either way, and its sign goes with the comparison',
    line: 'const lowMask = bits >= 64 ? 0xffff_ffff : bits <= 32 ? 0 : ~(0xffff_ffff >>> (bits - 32)) >>> 0',
  },
  {
    file: 'src/page/prefixtable.ts', line: 'this.#high = this.#low = this.#values = new Uint32Array(0)',
    why: 'a table that was given away must not be used again; it only frees memory',
  },
  // page/rising.ts
  {
    file: 'src/page/rising.ts', line: 'const meanGap = count === 0 ? 1 : limit / count',
    after: ['const meanGap = count === 0 ? 2 : limit / count'], why: 'an empty set has the parameter 0 either way',
  },
  {
    file: 'src/page/rising.ts', line: 'out.writeBits(gap - quotient * divisor, rice)',
    after: ['out.writeBits(gap + quotient * divisor, rice)'],
    why: 'the surplus bits fall on ones of the quotient that are already written',
  },
  // page/sortcolumns.ts
  { file: 'src/page/sortcolumns.ts', line: 'const BUCKET_ENTRIES = 4', why: ONLY_SPEED },
  { file: 'src/page/sortcolumns.ts', line: 'const BUCKET_BITS_MAX = 20', why: ONLY_SPEED },
  { file: 'src/page/sortcolumns.ts', line: 'const START_BITS_MAX = 28', why: ONLY_SPEED },
  {
    file: 'src/page/sortcolumns.ts', why: ONLY_SPEED,
    line: 'return Math.min(bitsMax, Math.max(1, Math.floor(Math.log2(count / BUCKET_ENTRIES + 1))))',
  },
  {
    file: 'src/page/sortcolumns.ts', why: 'a copy of the same entries takes its place',
    line: 'if (size === columns.count) return { high, low, values, starts: startsOf(high) }',
    after: ['if (false) return { high, low, values, starts: startsOf(high) }'],
  },
  {
    file: 'src/page/sortcolumns.ts', line: 'let start = 0', after: ['let start = 1'],
    why: 'the first start is 0 in any case, as a new array is',
  },
  {
    file: 'src/page/sortcolumns.ts', line: 'for (let index = 0; index < high.length; index++) {',
    after: ['for (let index = 0; index <= high.length; index++) {'], why: PAST_THE_END,
  },
  {
    file: 'src/page/sortcolumns.ts', line: 'while (start < starts.length) starts[start++] = high.length',
    after: ['while (start <= starts.length) starts[start++] = high.length'], why: PAST_THE_END,
  },
  {
    file: 'src/page/sortcolumns.ts', line: 'const next = new Uint32Array(2 ** bits + 1)',
    after: ['const next = new Uint32Array(2 ** bits + 2)'], why: 'a bucket more that no page falls into',
  },
  {
    file: 'src/page/sortcolumns.ts',
    line: 'for (let bucket = 1; bucket < next.length; bucket++) next[bucket]! += next[bucket - 1]!',
    after: [
      'for (let bucket = 2; bucket < next.length; bucket++) next[bucket]! += next[bucket - 1]!',
      'for (let bucket = 1; bucket <= next.length; bucket++) next[bucket]! += next[bucket - 1]!',
    ],
    why: 'nothing lies before the first bucket, and nothing is behind the last',
  },
  {
    file: 'src/page/sortcolumns.ts', line: 'let size = 0', after: ['let size = 1'],
    why: 'the first page meets itself as an equal one, and the two are merged',
  },
  {
    file: 'src/page/sortcolumns.ts', why: PAST_THE_END,
    line: 'while (place > 0 && (high[place - 1]! > ownHigh', after: ['while (place >= 0'],
  },
  {
    file: 'src/page/sortcolumns.ts', why: PAST_THE_END,
    line: 'if (place > 0 && high[place - 1] === ownHigh && low[place - 1] === ownLow) {',
    after: ['if (place >= 0 && high[place - 1] === ownHigh && low[place - 1] === ownLow) {'],
  },
  {
    file: 'src/page/sortcolumns.ts', line: 'if (value < values[place - 1]!) values[place - 1] = value',
    after: ['if (value <= values[place - 1]!) values[place - 1] = value'], why: 'an equal value replaces itself',
  },
  {
    file: 'src/page/sortcolumns.ts', line: 'for (let moved = size; moved > place; moved--) {',
    after: ['for (let moved = size; moved >= place; moved--) {'],
    why: 'the entry moved to the place is overwritten next',
  },
  // page/sortedtable.ts
  { file: 'src/page/sortedtable.ts', line: 'const WALK_ENTRIES_MAX = 64', why: ONLY_SPEED },
  {
    file: 'src/page/sortedtable.ts', line: 'while (end - index > WALK_ENTRIES_MAX) {',
    after: ['while (false) {', 'while (end - index >= WALK_ENTRIES_MAX) {'], why: ONLY_SPEED,
  },
  {
    file: 'src/page/sortedtable.ts', why: 'the walk that follows corrects an error of two entries',
    line: 'if (highs[middle]! < high || (highs[middle] === high && this.#low[middle]! < low)) index = middle + 1',
    after: ['index = middle - 1'],
  },
  {
    file: 'src/page/sortedtable.ts', line: 'return SortedTable.from(new PageColumns(0))',
    after: ['new PageColumns(1)'], why: 'columns with room and no page make an empty table too',
  },
  {
    file: 'src/page/sortedtable.ts',
    line: 'const lowMask = bits >= 64 ? 0xffff_ffff : bits <= 32 ? 0 : ~(0xffff_ffff >>> (bits - 32)) >>> 0',
    why: 'at 32 bits the first entry of a high half is the one that is found, whatever its low half',
  },
  {
    file: 'src/page/sortedtable.ts', line: 'while (index < end && highs[index]! < high) index += 1',
    after: ['while (index <= end && highs[index]! < high) index += 1'],
    why: 'the entry at the end belongs to a later start, and is not below',
  },
  {
    file: 'src/page/sortedtable.ts', line: 'while (index < end && highs[index] === high',
    after: ['while (index <= end'],
    why: 'the entry at the end belongs to a later start, and has another high half',
  },
  {
    file: 'src/page/sortedtable.ts', line: 'for (let index = 0; index < this.#high.length; index++) {',
    after: ['for (let index = 0; index <= this.#high.length; index++) {'],
    why: 'no bit is set after the last entry',
  },
  {
    file: 'src/page/sortedtable.ts', line: 'this.#shift = 31', after: [';'],
    why: 'an empty table is searched in the same two starts',
  },
  // page/source.ts
  {
    file: 'src/page/source.ts', line: 'return kind === undefined || kind === 0 ? undefined : KINDS[kind - 1]',
    after: ['return false ? undefined : KINDS[kind - 1]',
      'return kind === undefined && kind === 0 ? undefined : KINDS[kind - 1]'],
    why: 'there is no kind before the first either',
  },
  {
    file: 'src/page/source.ts', line: 'for (let i = 0; i < this.count; i++) if (this.#filledBy',
    after: ['i <= this.count'], why: PAST_THE_END,
  },
  {
    file: 'src/page/source.ts', line: 'for (let i = 0; i < indices.length; i++) {',
    after: ['for (let i = 0; i <= indices.length; i++) {'], why: PAST_THE_END,
  },
  // page/tablemerge.ts
  { file: 'src/page/tablemerge.ts', line: 'high = 0', why: 'it means something after the first page only' },
  { file: 'src/page/tablemerge.ts', line: 'low = 0', why: 'it means something after the first page only' },
  { file: 'src/page/tablemerge.ts', line: 'holders = 0', why: 'it means something after the first page only' },
  {
    file: 'src/page/tablemerge.ts', line: 'for (let place = this.#heapSize >>> 1; place-- > 0;) this.#sink(place)',
    after: [
      'for (let place = this.#heapSize << 1; place-- > 0;) this.#sink(place)',
      'for (let place = this.#heapSize >>> 1; place-- >= 0;) this.#sink(place)',
    ],
    why: 'a heap entry without children stays where it is',
  },
  {
    file: 'src/page/tablemerge.ts',
    line: 'return highA < highB || (highA === highB && this.#nextLow[a]! < this.#nextLow[b]!)',
    after: ['return highA < highB || (highA === highB && this.#nextLow[a]! <= this.#nextLow[b]!)'],
    why: 'the order of two equal pages does not matter: they are reported together',
  },
  // page/zero.ts
  {
    file: 'src/page/zero.ts', line: 'if (bytes[offset] !== 0 || bytes[offset + 8] !== 0) return false',
    after: [
      'if (false) return false', 'if (bytes[offset] !== 0 && bytes[offset + 8] !== 0) return false',
      'if (bytes[offset] !== 0 || bytes[offset + 9] !== 0) return false',
    ],
    why: ONLY_SPEED,
  },
  // bytes/bits.ts
  {
    file: 'src/bytes/bits.ts', line: 'const SHIFT_BITS_MAX = 24', after: ['= 25'],
    why: '25 bits and 7 waiting ones are 32, which still fit',
  },
  { file: 'src/bytes/bits.ts', line: 'constructor(expectedBytes = 256) {', why: ROOM },
  { file: 'src/bytes/bits.ts', line: 'if (this.#length + 4 > this.#bytes.length) this.#grow()', why: ROOM },
  { file: 'src/bytes/bits.ts', line: 'const larger = new Uint8Array(this.#bytes.length * 2 + 64)', why: ROOM },
  {
    file: 'src/bytes/bits.ts', line: 'this.#waiting &= (1 << this.#waitingBits) - 1',
    why: 'bits above the waiting ones are cut off when these become a byte',
  },
  {
    file: 'src/bytes/bits.ts', line: 'for (let left = count; left > 0; left -= 8) {', after: ['left >= 0'],
    why: 'the extra round writes no bit',
  },
  {
    file: 'src/bytes/bits.ts', line: 'this.writeBits(value >= 2 ** 31 ? value - 2 ** 31 : value &',
    why: 'the mask of 31 bits, which wraps around, gives the same',
  },
  {
    file: 'src/bytes/bits.ts', line: 'if (this.#waitingBits > 0) this.writeBits(0, 8 - this.#waitingBits)',
    after: ['9 - this.#waitingBits'], why: 'a zero more waits behind the last byte, and is never written',
  },
  // runtime, others
  {
    file: 'src/runtime/clock.ts', line: 'abort, { once: true })', after: ['once: false'],
    why: 'a signal aborts once',
  },
  {
    file: 'src/runtime/wait.ts', line: 'follow, { once: true })', after: ['once: false'],
    why: 'a signal aborts once',
  },
  {
    file: 'src/bytes/framecutter.ts', line: '#bodyFilled = 0', after: ['#bodyFilled = 1'],
    why: 'the next body sets it, before anything is added to it',
  },
  { file: 'src/bytes/linecutter.ts', line: 'const ROOM_BYTES_MIN = 256', why: ROOM },
  {
    file: 'src/bytes/linecutter.ts', line: '#kept: Buffer = Buffer.alloc(0)', after: ['Buffer.alloc(1)'],
    why: 'it is replaced at the first byte that it does not hold',
  },
  {
    file: 'src/bytes/linecutter.ts', line: 'if (this.#kept.length > ROOM_BYTES_MIN) this.#kept = Buffer.alloc(0)',
    why: 'the memory of a long line is only given back',
  },
  {
    file: 'src/bytes/linecutter.ts', line: 'if (keptBytes > this.#kept.length) {', after: ['keptBytes >= '],
    why: 'it then grows one byte earlier',
  },
  {
    file: 'src/bytes/linecutter.ts', line: 'const wished = Math.max(ROOM_BYTES_MIN, 2 * this.#kept.length)',
    after: ['3 * this'], why: 'it then grows faster',
  },
  {
    file: 'src/runtime/random.ts', line: 'fraction: () => randomBytes(4).readUInt32LE() / 0x1_0000_0000,',
    after: ['randomBytes(5)', '(0x1_0000_0000 + 1)'], why: 'random numbers are as evenly distributed',
  },
]
