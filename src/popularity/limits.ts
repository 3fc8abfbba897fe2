/**
 * What a report, a bulletin or a view may hold at most. Decoders apply them while they decode: what is larger is
 * refused before it is built. One test a limit.
 */
export const LIMITS = {
  /** Guests of one host that may hold a page: more is no host, but a lie. */
  guestsPerHost: 1024,
  /** Pages of one slice in a group: 2^28 stable pages of a host, a terabyte with nothing twice. */
  pagesPerGroup: 2 ** 16,
  /** Pages in all frames of one report. */
  pagesPerReport: 2 ** 23,
  /** Frames of one report: what the pages of the largest take, and no end of empty ones. */
  framesPerReport: 2 ** 12,
  /** Bytes of one bulletin: what the mesh gossips as one message. */
  bulletinBytes: 32 * 1024,
  /** Hosts named in one bulletin. */
  tagsPerBulletin: 2 ** 11,
  /** Pages in one message of a bulletin: 32 KiB with less than five bytes a page is no bulletin of ours. */
  pagesPerBulletin: 2 ** 13,
  /** Popular pages of a slice that one host tells another: twelve million in all, more than a view holds. */
  pagesPerSlice: 3000,
  /** Bytes of one frame of a report or a view: with the hosts that it names, what a stream takes as one message. */
  frameBytes: 56 * 1024,
  /** Frames of one view that a peer sends: more would be no view. */
  framesPerView: 2 ** 13,
}
