/** Bytes of one page of guest memory. */
export const PAGE_BYTES = 4096
/** Bytes of a page id: the first 16 of the page's BLAKE3, keyed with the cluster's page key. */
export const ID_BYTES = 16
/** Bytes of an id's prefix, with which hosts tell each other which pages they have. */
export const PREFIX_BYTES = 8
