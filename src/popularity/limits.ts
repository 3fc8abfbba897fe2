/**
 * Limits of a report, a bulletin or a view. Decoders apply them while they decode, before they allocate. One test per
 * limit.
 */
export const LIMITS = {
  /** Guests of one host that may hold a page; a host that claims more lies. */
  guestsPerHost: 1024,
  /** Pages of one slice in a group: 2^28 stable pages per host, a terabyte of distinct pages. */
  pagesPerGroup: 2 ** 16,
  /** Pages in all frames of one report. */
  pagesPerReport: 2 ** 23,
  /** Frames of one report: enough for the pages of the largest, and a bound on empty ones. */
  framesPerReport: 2 ** 12,
  /** Bytes of one bulletin: what the mesh gossips as one message. */
  bulletinBytes: 32 * 1024,
  /** Hosts named in one bulletin. */
  tagsPerBulletin: 2 ** 11,
  /** Pages in one bulletin message: at 32 KiB that is under five bytes a page, less than our encoding ever takes. */
  pagesPerBulletin: 2 ** 13,
  /** Popular pages of a slice in an answer to another host: twelve million in all, more than a view holds. */
  pagesPerSlice: 3000,
  /** Bytes of one frame of a report or a view: with the tags of its hosts it fits one message of a stream. */
  frameBytes: 56 * 1024,
  /** Frames of one view that a peer may send. */
  framesPerView: 2 ** 13,
}
