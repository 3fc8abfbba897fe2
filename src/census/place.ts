/**
 * Where a guest holds a page, as one number beside its prefix: the page's number, counted through the guest's blocks in
 * order, and whether that page held something else, or nothing known, at the scan before. Of several places of one
 * page the smallest number is the best: stable ones come first.
 */
const VOLATILE = 0x8000_0000

/** Pages that one guest may have: 8 TiB of memory. */
export const PAGE_NUMBERS_MAX = VOLATILE

export function placeOf(number: number, isVolatile: boolean): number {
  return isVolatile ? number + VOLATILE : number
}

export function numberOf(place: number): number {
  return place % VOLATILE
}

export function isVolatile(place: number): boolean {
  return place >= VOLATILE
}
