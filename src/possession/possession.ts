import { StreamTraffic, type Mesh, type Standing, type Unsubscribe } from '../mesh/index.ts'
import type { PageSource, PageVerifier } from '../page/index.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import { waitAtMost } from '../runtime/wait.ts'
import type { AskedBy, HeldBatch, Possession, PossessionCounts } from './api.ts'
import { Challenger, type ChallengerComponents } from './challenger.ts'
import { Prover } from './proof.ts'
import { ProvenPages } from './provenpages.ts'
import { firstQuestion, furtherQuestions, type Questions } from './questions.ts'
import { Witness } from './witness.ts'

/** How long a host may take to answer, and for how long further hosts are challenged, ms: an asker of pages waits. */
const ANSWER_MS = { urgent: 750, other: 3_000 } as const
const ASK_MS = { urgent: 1_000, other: 4_000 } as const
/** Rounds of challenges: the first, and one for each host that the view names. */
const ROUNDS_MAX = 4
/** Holders that the view names per page, at most. */
const NAMED_MAX = 3
const SWEEP_MS = 2_000

export interface PossessionComponents {
  clock: Clock
  random: Random
  log: Log
  mesh: Mesh
  hasher: PageVerifier
  standing: Standing
  /** Pages that guests of this host hold. */
  resident: PageSource
  /** Hosts that are said to hold a page, by name. This is not believed: they are challenged. */
  namedHolders: (high: number, low: number) => readonly string[]
}

export interface PossessionInit {
  /** 32 bytes each, derived from the cluster keys that this host accepts; what it proves, it proves by the first. */
  keys: () => readonly Uint8Array[]
  /** Hosts whose guests must hold a page, this one included, before it may leave. */
  minHosts: number
  /** Time between two scans, ms: a proof is valid for one to two of them. */
  intervalMs: number
}

export function createPossession(components: PossessionComponents, init: PossessionInit): Possession {
  return new HostPossession(components, init)
}

class HostPossession implements Possession {
  readonly counts: PossessionCounts = { proven: 0, missing: 0, wrong: 0 }
  readonly traffic = new StreamTraffic()
  readonly #components: PossessionComponents
  readonly #minHosts: number
  readonly #intervalMs: number
  readonly #proven: ProvenPages
  readonly #parts: ChallengerComponents
  readonly #witness: Witness
  readonly #challengers = new Map<string, Challenger>()
  #forgivenAt: number
  #abort = new AbortController()
  #undo: Unsubscribe[] = []
  #sweep: Timer | undefined

  constructor(components: PossessionComponents, { keys, minHosts, intervalMs }: PossessionInit) {
    const prover = new Prover(keys)
    this.#components = components
    this.#minHosts = minHosts
    this.#intervalMs = intervalMs
    this.#proven = new ProvenPages(components, { intervalMs })
    this.#forgivenAt = components.clock.now()
    const { counts, traffic } = this
    this.#parts = { ...components, prover, traffic, counts, proven: this.#proven }
    this.#witness = new Witness({ ...components, prover, traffic })
  }

  async confirm(pages: HeldBatch, by: AskedBy): Promise<Uint8Array> {
    // The operator's choice: one host is enough, and this host is one.
    if (this.#minHosts <= 1) return new Uint8Array(pages.count).fill(1)
    this.#age()
    const over = new AbortController()
    try {
      await this.#askFor(pages, by, over.signal)
    } finally {
      over.abort(new Error('the pages are judged'))
    }
    by.signal.throwIfAborted()
    return Uint8Array.from({ length: pages.count }, (_, place) => (this.#lackOf(pages, place) === 0 ? 1 : 0))
  }

  async start(): Promise<void> {
    if (this.#sweep !== undefined) return
    const { mesh, clock } = this.#components
    this.#abort = new AbortController()
    this.#undo = [
      this.#witness.listen(this.#abort.signal),
      mesh.onMember((change, { peerId }) => { if (change === 'left') this.#forget(peerId) }),
    ]
    this.#sweep = clock.every(SWEEP_MS, () => {
      for (const challenger of this.#challengers.values()) challenger.closeIfIdle()
    })
  }

  async stop(): Promise<void> {
    this.#sweep?.cancel()
    this.#sweep = undefined
    this.#abort.abort(new Error('the agent stops'))
    for (const undo of this.#undo.splice(0)) undo()
    for (const peerId of [...this.#challengers.keys()]) this.#forget(peerId)
  }

  async #askFor(pages: HeldBatch, { asker, isUrgent }: AskedBy, signal: AbortSignal): Promise<void> {
    const { clock } = this.#components
    const pace = isUrgent ? 'urgent' : 'other'
    const endsAt = clock.now() + ASK_MS[pace]
    const named = new Map<number, readonly string[]>()
    const asked = new Map<string, Set<number>>()
    for (let round = 0; round < ROUNDS_MAX && clock.now() <= endsAt; round++) {
      const places = Array.from({ length: pages.count }, (_, place) => place)
        .filter((place) => this.#lackOf(pages, place) > 0)
      const witnesses = this.#witnesses(asker.name)
      if (places.length === 0 || witnesses.size === 0) return
      if (round === 0) for (const place of places) named.set(place, this.#namedHolders(pages, place))
      const open = {
        places,
        namedOf: (place: number) => named.get(place)!.filter((name) => witnesses.has(name)),
        lackOf: (place: number) => this.#lackOf(pages, place),
        wasAsked: (host: string, place: number) => asked.get(host)?.has(place) === true,
        others: this.#minHosts > NAMED_MAX ? [...witnesses.keys()] : [],
      }
      const questions: Questions = round === 0 ? firstQuestion(open) : furtherQuestions(open)
      if (questions.size === 0 && round > 0) return
      const asking = [...questions].map(([host, about]) => {
        asked.set(host, new Set([...asked.get(host) ?? [], ...about]))
        const isNamed = (place: number): boolean => named.get(place)!.includes(host)
        return witnesses.get(host)!.ask({ pages, places: about, isNamed, limitMs: ANSWER_MS[pace], signal })
      })
      await waitAtMost(clock, Promise.all(asking), ANSWER_MS[pace])
    }
  }

  #namedHolders({ high, low }: HeldBatch, place: number): readonly string[] {
    return this.#components.namedHolders(high[place]!, low[place]!)
  }

  /** How many more hosts a page needs before it may leave: this host counts where its own guest holds the page. */
  #lackOf({ high, low, resident }: HeldBatch, place: number): number {
    const needed = this.#minHosts - resident[place]!
    return needed - this.#proven.hostsOf(high[place]!, low[place]!, needed)
  }

  /** Members that may be challenged now, by name. The host that wants a page cannot prove it. */
  #witnesses(askerName: string): Map<string, Challenger> {
    const witnesses = new Map<string, Challenger>()
    for (const member of this.#components.mesh.members()) {
      if (member.name === askerName) continue
      let challenger = this.#challengers.get(member.peerId)
      if (challenger === undefined) {
        challenger = new Challenger(this.#parts, member, this.#abort.signal)
        this.#challengers.set(member.peerId, challenger)
      }
      if (challenger.mayBeAsked) witnesses.set(member.name, challenger)
    }
    return witnesses
  }

  #age(): void {
    const now = this.#components.clock.now()
    this.#proven.age()
    if (now - this.#forgivenAt < this.#intervalMs) return
    this.#forgivenAt = now
    for (const challenger of this.#challengers.values()) challenger.forgive()
  }

  #forget(peerId: string): void {
    this.#proven.forget(peerId)
    this.#challengers.get(peerId)?.close()
    this.#challengers.delete(peerId)
  }
}
