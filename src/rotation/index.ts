/**
 * The cluster key of a whole mesh is exchanged for another while the hosts go on working: `wire.ts` says how,
 * `rules.ts` what is refused. `rotation.ts` carries it out, here and on the members, and brings along hosts that were
 * down.
 */
export { REMOVED_KEYS_MAX } from './wire.ts'
export { Rotation, type KeysState, type RotationComponents, type RotationInit } from './rotation.ts'
export type { KeysNews, RemovedKeys } from './steps.ts'
export type { HostKeys, KeysReport, RotationRequest } from './report.ts'
