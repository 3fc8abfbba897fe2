/**
 * One channel from QEMU to QEMU: the bytes that the source QEMU writes go in at one end, the same bytes come out at the
 * other, and in between references replace pages that the destination has. `wire.ts` describes the protocol.
 *
 * A passage relays one connection: the stream down, the return path up, and either end's half-close. It knows nothing
 * of QMP, phases and host names. It reports `ended` once both directions ended and all bytes were delivered, and
 * `failed` in any other case; by then both connections are closed, so that QEMU sees a broken network at once. Apart
 * from its endpoints it takes only data, and it returns copies.
 *
 * It runs in a worker thread if the machine has cores for it, otherwise in the agent's thread, with the same code:
 * `worker/`.
 *
 * The frames of a lane and their keep-alives are also used by other protocols over lanes.
 */
export { linkRateOf, usualLevel, type CompressionMode } from './compression.ts'
export { FrameLane, type FrameLaneInit } from './framelane.ts'
export { badFrame, type FrameRule, type FrameTable } from './frames.ts'
export {
  IncomingPassage, type IncomingPassageComponents, type IncomingPassageCounts, type IncomingPassageListener,
} from './incoming.ts'
export {
  OutgoingPassage, type OutgoingPassageCounts, type OutgoingPassageInit, type OutgoingPassageListener,
} from './outgoing.ts'
export type { KnownPublic } from './publicrefs.ts'
export { rehearse, type Rehearsal } from './rehearsal.ts'
export { noRefsFilled } from './resolver.ts'
export { warmUp } from './warmup.ts'
export { openPassageLane, type IncomingRun, type OutgoingRun, type PassageLane } from './worker/passagelane.ts'
export { PassageThreads, threadCount } from './worker/threads.ts'
