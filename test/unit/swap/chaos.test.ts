/** Hosts that trade while links break, lanes are cut and hosts stand back, seeded; then all must come right. */
import assert from 'node:assert/strict'

import { fetchPages, MadePages, range, SwapNetwork, type Basket, type SwapHost } from '../../support/madeswap.ts'
import { seededRandom } from '../../support/random.ts'
import { VirtualClock } from '../../support/time.ts'

const NAMES = ['a', 'b', 'c', 'd', 'e']
const PAGES = 600
const STEPS = 60

const pages = new MadePages(PAGES, 300)

interface Running {
  basket: Basket
  isAborted: () => boolean
  end: Promise<{ fetched: number; missing: number } | 'aborted'>
}

class Chaos {
  readonly clock = new VirtualClock()
  readonly scene = new SwapNetwork(pages, this.clock)
  readonly hosts: SwapHost[] = []
  readonly #random: () => number
  readonly #fetches: Running[] = []
  readonly #goOns: (() => void)[] = []

  constructor(seed: number) {
    this.#random = seededRandom(seed)
  }

  async start(): Promise<void> {
    for (const [index, name] of NAMES.entries()) {
      this.hosts.push(await this.scene.add(name, {
        has: (number) => (number * 7 + index) % NAMES.length < 2,
        // One has no cap; the least cap sends a page at a time.
        bytesPerSecondMax: [Infinity, 125_000, 2_500_000, 2_500_000, 12_500_000][index]!,
      }))
    }
  }

  async step(): Promise<void> {
    const kind = this.#below(8)
    if (kind <= 3) this.#fetch()
    else if (kind === 4) this.scene.network.cutLanes()
    else if (kind === 5) this.scene.network.disconnect(this.#name(), this.#random() < 0.3 ? undefined : this.#name())
    else if (kind === 6) for (const name of NAMES) this.scene.network.reconnect(name)
    else if (this.#goOns.length > 2) this.#goOns.pop()!()
    else this.#goOns.push(this.hosts[this.#below(NAMES.length)]!.swap.standBack())
    await this.clock.run(this.clock.now() + this.#below(400))
  }

  /** All is well again: every fetch ends, and what is asked for then comes. */
  async settle(): Promise<void> {
    for (const goOn of this.#goOns.splice(0)) goOn()
    for (const name of NAMES) this.scene.network.reconnect(name)
    for (const { basket, end, isAborted } of this.#fetches) {
      const counts = await this.clock.complete(end)
      assert.equal(new Set(basket.numbers).size, basket.numbers.length, 'no page is delivered twice')
      if (counts === 'aborted') assert.ok(isAborted())
      else assert.equal(counts.fetched, basket.numbers.length)
    }
    await this.clock.run(this.clock.now() + 60_000)
    for (const host of this.hosts) {
      const others = NAMES.filter((name) => name !== host.name)
      // Few at a time: more are packed on another thread, for which virtual time does not wait.
      for (let first = 0; first < 100; first += 4) {
        const { fetched } = await this.clock.complete(fetchPages(host, pages, range(4, first), others).counts)
        assert.equal(fetched, 4, 'some other host has each page')
      }
      for (const { name } of this.hosts) assert.ok(host.standing.isTrusted(`memory-${name}`), 'nobody lied')
    }
    await this.clock.complete(this.scene.end())
    await this.clock.run(this.clock.now() + 120_000)
    assert.equal(this.clock.pendingCount, 0, 'nothing is left behind')
  }

  #fetch(): void {
    const host = this.hosts[this.#below(NAMES.length)]!
    const abort = new AbortController()
    const purpose = this.#random() < 0.5 ? 'handoff' : 'placement'
    const numbers = range(1 + this.#below(200), this.#below(PAGES - 200))
    const others = NAMES.filter((name) => name !== host.name)
    const { basket, counts } = fetchPages(host, pages, numbers, others, { purpose, signal: abort.signal })
    const end = counts.then(({ fetched, missing }) => {
      assert.equal(fetched + missing, numbers.length)
      return { fetched, missing }
    }, (error: unknown) => {
      assert.equal((error as Error).message, 'enough')
      return 'aborted' as const
    })
    end.catch(() => undefined)
    if (this.#random() < 0.2) this.clock.after(this.#below(2000), () => abort.abort(new Error('enough')))
    this.#fetches.push({ basket, end, isAborted: () => abort.signal.aborted })
  }

  #name(): string {
    return NAMES[this.#below(NAMES.length)]!
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }
}

describe('hosts that trade while everything breaks', () => {
  for (const seed of [1, 2, 3]) {
    it(`end each fetch with every page delivered once or missing, and trust each other after it (seed ${seed})`,
      async function () {
        this.timeout(60_000)
        const chaos = new Chaos(seed)
        await chaos.start()
        for (let step = 0; step < STEPS; step++) await chaos.step()
        await chaos.settle()
      })
  }
})
