import type { Holders } from '../placement/index.ts'
import type { Popularity } from '../popularity/index.ts'
import type { PeerPages, Swap } from '../swap/index.ts'

/** For a host that asks no peers while a guest arrives. */
export const noPeerPages: PeerPages = {
  among: () => ({ count: 0, high: new Uint32Array(0), low: new Uint32Array(0), indices: new Uint32Array(0) }),
  fetch: () => Promise.resolve(),
  receivedBytes: 0,
}

/** Popular pages for incoming handoffs, from any host but the source, whose link is in use. */
export function createPeerPages(
  { popularity, holders, swap }: { popularity: Popularity; holders: Holders; swap: Swap },
): PeerPages {
  const { view } = popularity
  return {
    among: (prefixes, bits) => view.among(prefixes, bits),
    fetch: (wanted, { source, deliver, signal }) => {
      const holdersOf = (index: number): string[] => holders.of(wanted.high[index]!, wanted.low[index]!)
        .filter((name) => name !== source)
      return swap.fetch({ ...wanted, holdersOf }, { purpose: 'handoff', deliver, signal })
    },
    get receivedBytes() {
      return swap.traffic.handoff.receivedBytes
    },
  }
}
