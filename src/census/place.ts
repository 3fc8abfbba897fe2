/**
 * A page's location in a guest, packed into one number: the page number, counted through the guest's blocks in order,
 * and a flag that the page changed since the scan before, or was not seen in it. Of several places of one page the
 * smallest number is the best, because stable ones are smaller.
 */
const VOLATILE = 0x8000_0000

/** Most pages of one guest: 8 TiB of memory. */
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
