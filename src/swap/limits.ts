/** Limits on other members' messages, applied while decoding and before anything is kept. */
export const LIMITS = {
  /** Pages of one want: 1 MiB of memory for its answer. */
  pagesPerWant: 256,
  /** Wants of one session that wait or are being answered; further ones get `busy`. */
  wantsPerSession: 4,
  /** Queued pages of all sessions for arriving guests: about a second's work, less than the askers wait. */
  queuedPages: 16_384,
  /** The same for placement, in pieces of 25 ms of the cap: two seconds' worth. */
  queuedPieces: 80,
  /** Refusals of one session that are not sent yet; a session that asks for more is ended. */
  refusalsPerSession: 16,
  /** Sessions per member; more are refused. An asker keeps one per purpose, and a broken one may linger. */
  sessionsPerMember: 4,
  /** Sessions in all. */
  sessions: 256,
  /**
   * Answers being read, packed or sent, each at most 1 MiB; and the most of them for placement, so that some stay free.
   */
  answersInHand: 8,
  placementAnswersInHand: 4,
  /** Answers of one session at a time: while one is sent, the next is read. */
  answersPerSession: 2,
} as const
