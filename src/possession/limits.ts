/** Limits of what other members may ask, and of what is kept about them. */
export const LIMITS = {
  /** Pages of one challenge: 1 MiB is read for its answer. One challenge is answered at a time. */
  pagesPerChallenge: 256,
  /** Streams of one member; more are refused. Each challenger keeps one, and a broken one may linger. */
  streamsPerMember: 2,
  /** Proofs of pages that are remembered from one interval, about 24 bytes each; when full, the older half goes. */
  provenPages: 2 ** 18,
} as const
