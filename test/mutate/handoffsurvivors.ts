import type { ExplainedSurvivor } from './fault.ts'

const ROOM = 'room for entries that are counted elsewhere; its contents are the same'
const LETS_GO = 'it only frees memory, or returns it for reuse'

/** Faults that may survive in the code that moves a guest. */
export const HANDOFF_SURVIVORS: readonly ExplainedSurvivor[] = [
  // handoff
  {
    file: 'src/handoff/incoming.ts', line: 'if (this.#heldSince === undefined || why === undefined) return undefined',
    after: ['undefined && why'], why: 'every state that holds a copy has a reason',
  },
  {
    file: 'src/handoff/incoming.ts', line: 'this.#goOn ??= this.#init.standBack()', after: ['this.#goOn = '],
    why: 'what stands back goes on before it is asked again to stand back',
  },
  {
    file: 'src/handoff/outgoing.ts', line: 'this.#goOn ??= this.#init.standBack()', after: ['this.#goOn = '],
    why: 'what stands back goes on before it is asked again to stand back',
  },
  { file: 'src/handoff/incoming.ts', line: 'this.#answered = undefined', why: LETS_GO },
  {
    file: 'src/handoff/incoming.ts', line: 'return await this.#settled.promise',
    why: 'a returned promise is awaited as well',
  },
  {
    file: 'src/handoff/incoming.ts', line: "else if (ending.as !== 'held') this.#settled?.resolve(ending)",
    after: ['else if (true)'], why: 'if a copy is held again, its state has refused before',
  },
  {
    file: 'src/transfer/incomingpassages.ts', line: 'this.#passages.push(passage)', after: ['unshift'],
    why: 'their order does not matter: they are added up, and stopped together',
  },
  {
    file: 'src/transfer/outgoingpassages.ts', line: 'this.#passages.push(passage)', after: ['unshift'],
    why: 'every connection of a migration has the same knowledge: each begins with that of the one before',
  },
  {
    file: 'src/transfer/outgoingpassages.ts', line: 'this.#fetched.push(pages)', after: ['unshift'],
    why: 'the order in which pages become known does not matter',
  },
  // passage
  {
    file: 'src/passage/batch.ts', line: '#count = 0', after: ['#count = 1'],
    why: 'it matters only for a kind of op that does not exist yet',
  },
  {
    file: 'src/passage/batch.ts', line: 'factor > 2 ** 28) throw badFrame', after: ['factor > 2 ** 29'],
    why: 'factors are powers of 128: none lies between',
  },
  { file: 'src/passage/batchdigest.ts', line: 'const COUNTS_BYTES = 8', why: ROOM },
  { file: 'src/passage/batchdigest.ts', line: 'const OFFSET_BYTES = 4', why: ROOM },
  {
    file: 'src/passage/decoder.ts', line: 'stream: raw.length === header.streamBytes ? raw : this.#pool.take()',
    after: ['stream: false ? raw'], why: 'an entirely raw batch is copied, with the same result',
  },
  {
    file: 'src/passage/decoder.ts', line: 'if (stream !== raw) raw.copy(stream, at, rawAt, rawAt + count)',
    after: ['if (true) raw.copy'], why: 'bytes that are copied to where they lie are the same',
  },
  {
    file: 'src/passage/encoder.ts', line: 'if (raw !== stream) stream.copy(raw, rawLength, from)',
    after: ['if (true) stream.copy'], why: 'bytes that are copied to where they lie are the same',
  },
  {
    file: 'src/passage/encoder.ts', line: 'const SPARES_MAX = 2 * WINDOW_BATCHES_MAX',
    why: 'the number of buffers kept for reuse; more are made if none is left',
  },
  {
    file: 'src/passage/encoder.ts', line: 'const PAGES_MAX = Math.ceil(BATCH_STREAM_BYTES / PAGE_BYTES) + 1',
    after: ['Math.floor(', '+ 2'], why: ROOM,
  },
  {
    file: 'src/passage/encoder.ts', line: 'for (let i = 0; i < count; i++) this.#known.add(high[i]!, low[i]!, 0)',
    after: ['low[i]!, 1)', 'i <= count'],
    why: 'only the presence of a page is checked, and no page has an id of zeros, which is what is past the end',
  },
  {
    file: 'src/passage/framelane.ts', line: 'let hasRoom = true', after: ['let hasRoom = false'],
    why: 'a frame has a header: the result of its last piece decides',
  },
  {
    file: 'src/passage/framelane.ts', line: 'if (!this.#isOver) reader.push(bytes)', after: ['if (true)'],
    why: 'frames after the end are not assembled; if they were, nothing would receive them',
  },
  { file: 'src/passage/incoming.ts', line: 'this.#askedBack.clear()', why: LETS_GO },
  {
    file: 'src/passage/outgoing.ts', line: 'if (!travelAsTheyAre) this.#encoder.recycle',
    why: 'memory that is not returned is left to the collector',
  },
  { file: 'src/passage/outgoing.ts', line: 'this.#kept.clear()', why: LETS_GO },
  {
    file: 'src/passage/resolver.ts', line: 'if (count === 0) return []', after: ['if (false) return []'],
    why: 'a batch without refs needs no room for them; no source is asked either way',
  },
  {
    file: 'src/passage/resolver.ts', line: 'for (let ref = 0; ref < count; ref++) {', after: ['ref <= count'],
    why: 'behind the last ref nothing is filled',
  },
  {
    file: 'src/passage/resolver.ts', line: 'for (let ref = 0; ref < refs.count; ref++) {', after: ['ref <= refs.count'],
    why: 'behind the last ref nothing is filled',
  },
  {
    file: 'src/passage/sentpages.ts', line: 'if (slot === -1) return -1',
    after: ['if (false) return -1', 'if (slot === -2) return -1'],
    why: 'nothing before the first id equals an id',
  },
  {
    file: 'src/passage/sentpages.ts', line: 'for (let i = 0; i < ID_BYTES; i++) if (this.#ids[own + i]',
    after: ['let i = 1'], why: 'the table has compared the first eight bytes',
  },
  {
    file: 'src/passage/warmup.ts', line: 'const PIECE_BYTES = 100_000',
    why: 'pieces of any length make the same batches',
  },
  {
    file: 'src/passage/warmup.ts', line: 'packBatch(batch, { level: 1 })',
    why: 'it decides it decides which code is compiled beforehand: only speed',
  },
  { file: 'src/passage/warmup.ts', line: 'decoder.recycle(assembled)', why: LETS_GO },
  {
    file: 'src/passage/warmup.ts', line: "kind: 'resident',",
    why: 'the marks of a source tell where a page came from; its own kind is used elsewhere',
  },
  {
    file: 'src/passage/warmup.ts', line: 'for (let page = 0; page < PAGES; page++) {', after: ['let page = 1'],
    why: 'the first page of the stream is one of zeros',
  },
  {
    file: 'src/passage/warmup.ts', line: 'for (let i = 0; i < count; i++) {', after: ['let i = 1', 'i <= count'],
    why: 'the first page of the stream is one of zeros, and writing past the end of a typed array does nothing',
  },
  {
    file: 'src/passage/warmup.ts', line: 'await nextTurn()',
    why: 'it only decides whether the event loop gets a turn meanwhile',
  },
  {
    file: 'src/passage/window.ts', line: 'this.#periodFrom = components.clock.now()',
    why: 'the first batch begins the first period',
  },
]
