/** Limits on other members' challenges and on what is remembered of them. */
export const LIMITS = {
  /** Pages of one challenge: 1 MiB is read for its answer. One challenge is answered at a time. */
  pagesPerChallenge: 256,
  /** Streams per member; more are refused. A challenger uses one, and a broken one may linger. */
  streamsPerMember: 2,
  /** Proofs remembered per interval, about 24 bytes each; when full, the older half is dropped. */
  provenPages: 2 ** 18,
} as const
