/**
 * One channel from QEMU to QEMU: what the source QEMU writes goes in at one end, the very same bytes come out at the
 * other, with references in between wherever the destination has the pages. `wire.ts` says how the two ends talk.
 *
 * A passage relays one connection: the stream down, the return path up, and either end's half-close. It knows nothing
 * of QMP, phases and host names. It says `ended` once both directions ended and everything was delivered, and `failed`
 * once for anything else; then both its legs are closed already, so that QEMU sees a broken network at once.
 * What it is given beside its endpoints is data, and what it gives is copies.
 *
 * It runs in a worker thread where the machine has cores for it, else in the agent's own, with the same code:
 * `worker/`.
 *
 * The frames of a lane and their signs of life are of use to whoever else talks over a lane.
 */
export { linkRateOf, type CompressionMode } from './compression.ts'
export { FrameLane, type FrameLaneInit } from './framelane.ts'
export { badFrame, type FrameRule, type FrameTable } from './frames.ts'
export {
  IncomingPassage, type IncomingPassageCounts, type IncomingPassageListener,
} from './incoming.ts'
export {
  OutgoingPassage, type OutgoingPassageCounts, type OutgoingPassageInit, type OutgoingPassageListener,
} from './outgoing.ts'
export { noRefsFilled } from './resolver.ts'
export { warmUp } from './warmup.ts'
export { openPassageLane, type IncomingRun, type OutgoingRun, type PassageLane } from './worker/passagelane.ts'
export { PassageThreads, threadCount } from './worker/threads.ts'
