/** Limits of what other members may send and ask, applied while decoding and before anything is kept. */
export const LIMITS = {
  /** Pages of one want: 1 MiB of memory for its answer. */
  pagesPerWant: 256,
  /** Wants of one session that wait or are answered; further ones are told that the holder is busy. */
  wantsPerSession: 4,
  /** Pages that all sessions want for guests that arrive and that wait: about a second's work, less than they wait. */
  queuedPages: 16_384,
  /** And of what is to be kept, in pieces of 25 ms of the cap: two seconds' worth. */
  queuedPieces: 80,
  /** Refusals of one session that are not sent yet; who asks on all the same has it ended. */
  refusalsPerSession: 16,
  /** Sessions of one member; more are refused. Each asker keeps one a purpose, and a broken one may linger. */
  sessionsPerMember: 4,
  /** Sessions in all. */
  sessions: 256,
  /** Answers that are read, packed or sent at one time, each at most 1 MiB. Of them for placement: some stay free. */
  answersInHand: 8,
  placementAnswersInHand: 4,
  /** Answers of one session at one time: while one is sent, the next is read. */
  answersPerSession: 2,
} as const
