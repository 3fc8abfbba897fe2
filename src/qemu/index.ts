/**
 * QEMU's migration stream as a grammar: where in a stream the guest's pages are.
 *
 * Goals: announce every RAM page of pre-copy and post-copy streams of QEMU 7.2 to 10.2 while the bytes pass, a million
 * records a second; stay in step through all other elements; for any input, never throw, hold at most CARRY_BYTES_MAX
 * bytes, and resynchronise.
 * Non-goals: holding or changing bytes; device state except the run state; pages that QEMU compressed; the return path;
 * reading after RAM's end in pre-copy, where device states have no length and no page follows.
 *
 *   QEMU ---- bytes ----> encoder ---- bytes, refs ---->
 *                push |   ^ page(offset), mark, lost ...
 *                     v   |
 *                 StreamReader                 a wrong announcement costs compression, never correctness
 *
 *   header -> configuration -> elements --ramEnd in pre-copy, 00--> rest (raw, as it should be)
 *     |             |           |    ^
 *     |             +---lost----+    | resynchronised
 *     |                         v    |
 *     +--lost for good--> rest  scanning
 *
 * Each file opens with the part of the grammar that it reads; `grammar.ts` has the top.
 */
export { CARRY_BYTES_MAX } from './input.ts'
export { isKnowledgeData, readKnowledge, type StreamKnowledge, type StreamKnowledgeData } from './knowledge.ts'
export { createStreamReader } from './reader.ts'
export { ReturnPathEnd } from './returnpath.ts'
export type { StreamListener, StreamMark, StreamReader, StreamReaderOptions, StreamSummary } from './streamreader.ts'
