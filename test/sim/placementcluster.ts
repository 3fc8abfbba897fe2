import { SyntheticCluster, type SyntheticGuest } from '../../peers/model.ts'
import { Bits } from './placementbits.ts'

export interface ClusterInit {
  hosts: number
  /** On each host. */
  guests: number
  /** Non-zero pages of each guest. */
  pages: number
  seed: number
}

/** A guest and its present host. */
export interface PlacedGuest {
  guest: SyntheticGuest
  host: number
}

export function drawGuests({ hosts, guests, pages, seed }: ClusterInit): PlacedGuest[] {
  const cluster = new SyntheticCluster({ seed, pagesPerGuest: pages })
  return Array.from({ length: hosts * guests }, (_, index) => ({
    guest: cluster.guestOf(index), host: Math.floor(index / guests),
  }))
}

/** All stable pages of a cluster at one look, counted exactly. Pages are numbered in the order of their contents. */
export class ClusterLook {
  readonly hosts: number
  /** Content of each page, in rising order. */
  readonly contents: Float64Array
  /** Guests, and hosts, that hold each page. */
  readonly guestsOf: Uint16Array
  readonly hostsOf: Uint16Array
  /** Pages that at least two hosts hold. */
  readonly popular: Uint32Array
  /** Pages of each guest, in the order of the guests. */
  readonly pagesOf: Uint32Array[]
  /** Pages that are resident at each host. */
  readonly residentAt: Bits[]

  constructor(guests: readonly PlacedGuest[], hosts: number, look: number) {
    this.hosts = hosts
    const held = guests.map(({ guest }) => {
      const contents = new Float64Array(guest.pages)
      return contents.subarray(0, guest.stableContents(look, contents, 0))
    })
    this.contents = distinct(held)
    this.pagesOf = held.map((contents) => Uint32Array.from(contents, (content) => this.pageOf(content)))
    const pages = this.contents.length
    this.guestsOf = new Uint16Array(pages)
    this.hostsOf = new Uint16Array(pages)
    this.residentAt = Array.from({ length: hosts }, () => new Bits(pages))
    for (const [index, { host }] of guests.entries()) {
      for (const page of this.pagesOf[index]!) {
        this.guestsOf[page]! += 1
        if (this.residentAt[host]!.add(page)) this.hostsOf[page]! += 1
      }
    }
    this.popular = Uint32Array.from({ length: pages }, (_, page) => page).filter((page) => this.hostsOf[page]! >= 2)
  }

  /** The page with this content; any other if there is none. */
  pageOf(content: number): number {
    let first = 0
    let last = this.contents.length - 1
    while (first < last) {
      const middle = (first + last) >>> 1
      if (this.contents[middle]! < content) first = middle + 1
      else last = middle
    }
    return first
  }
}

function distinct(held: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(held.reduce((sum, { length }) => sum + length, 0))
  let end = 0
  for (const contents of held) {
    all.set(contents, end)
    end += contents.length
  }
  all.sort()
  let count = 0
  for (let i = 0; i < all.length; i++) if (i === 0 || all[i] !== all[i - 1]) all[count++] = all[i]!
  return all.slice(0, count)
}
