import type { Census } from '../census/index.ts'
import {
  sentenceOf, type IncomingEnding, type IncomingRecordedAs, type IncomingState, type Reason, type RunState,
  type SpentBytes,
} from '../conversation/index.ts'
import { QmpIncomingDriver, type Guest } from '../guest/index.ts'
import { decodeOffer, Incoming, type HandoffOffer, type IncomingInit } from '../handoff/index.ts'
import type { Member, Mesh, MessageStream } from '../mesh/index.ts'
import { PageBudget, type PageScopes } from '../page/index.ts'
import type { PassageThreads } from '../passage/index.ts'
import { behind } from '../runtime/behind.ts'
import type { Clock } from '../runtime/clock.ts'
import { asPagemeshError, describeError, PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import { withTimeout } from '../runtime/wait.ts'
import type { Store } from '../store/index.ts'
import type { PeerPages } from '../swap/index.ts'
import { encodeAnswer, failedResult, type PublicPages } from '../transfer/index.ts'
import { requireAllowed, type AcceptRule } from './acceptance.ts'
import type { HeldGuest, SettleDecision, SettleOutcome } from './api.ts'
import type { Audit } from './audit.ts'
import type { GuestList } from './guestlist.ts'
import type { History } from './history.ts'
import type { Journal } from './journal.ts'
import { requireSame } from './outgoinghandoffs.ts'
import { mayLive, type Unsettled } from './unsettled.ts'

/** Most pages fetched from peers that all incoming handoffs together hold: 512 MiB. */
const FETCHED_PAGES_MAX = 2 ** 17
const OFFER_MS_MAX = 5000
/** Between two tries to reach the QEMU of a handoff that an earlier agent process left. */
const RETRY_MS = 2000

export interface IncomingHandoffsComponents {
  clock: Clock
  log: Log
  random: Random
  mesh: Mesh
  scopes: PageScopes
  publicPages: PublicPages
  threads: PassageThreads
  census: Census
  store: Store
  peers: PeerPages
  guests: GuestList
  history: History
  journal: Journal
  audit: Pick<Audit, 'note'>
  spent: () => SpentBytes
  standBack: () => () => void
}

type Record = Extract<Unsettled, { role: 'incoming' }>

/** Incoming handoffs of this host: those under way, and those with a copy that is held. */
export class IncomingHandoffs {
  readonly #components: IncomingHandoffsComponents
  readonly #directory: string
  readonly #live = new Map<string, Incoming>()
  /** Handoffs of an earlier agent process whose QEMU does not answer, and since when. */
  readonly #silent = new Map<string, { record: Record; sinceMs: number }>()
  refusedOffers = 0
  readonly #life = new AbortController()
  readonly #budget = new PageBudget(FETCHED_PAGES_MAX)
  readonly #onRested: (incoming: Incoming) => void
  readonly #accept: readonly AcceptRule[] | undefined
  readonly #parallel: number

  constructor(
    components: IncomingHandoffsComponents,
    init: {
      directory: string
      accept: readonly AcceptRule[] | undefined
      /** Handoffs that may come in at once; each may hold a window of stream and 32 MiB of pages sent before. */
      parallel: number
      onRested: (incoming: Incoming) => void
    },
  ) {
    this.#components = components
    this.#directory = init.directory
    this.#accept = init.accept
    this.#parallel = init.parallel
    this.#onRested = init.onRested
  }

  /** Handoffs under way. */
  running(): Incoming[] {
    return [...this.#live.values()].filter(({ ending, held }) => ending === undefined && held === undefined)
  }

  /** Those that need a place among the ones that come at once. */
  #arriving(): number {
    return this.running().filter(({ init, state }) => init.plan.kind === 'move' && state.at !== 'cut').length
  }

  isExpected(guest: string): boolean {
    return this.running().some(({ init }) => init.guest === guest)
  }

  /** Receives a guest that a member offers, or the rest of a cut post-copy; resolves when that handoff rests. */
  async receive(stream: MessageStream, from: Member, requireFree: (guest: string) => void): Promise<void> {
    let incoming: Incoming
    let offer: HandoffOffer | undefined
    try {
      offer = decodeOffer(await withTimeout(this.#components.clock, stream.receive(), OFFER_MS_MAX, {
        phase: 'offer', fault: 'peer', message: 'The member opened a stream but sent no offer.',
      }))
      incoming = this.#begin(offer, from, requireFree)
    } catch (thrown) {
      const { code, message, advice, fault } = asPagemeshError(thrown)
      // One that comes too early is offered again, once a second: it is not refused for good.
      if (code !== 'busy') {
        this.refusedOffers += 1
        this.#components.log.warn('an offer was refused', { from: from.name, code, fault, reason: message })
        this.#components.audit.note({ event: 'offer-refused', member: from.name, guest: offer?.guest ?? '', code })
      }
      await stream.send(encodeAnswer({ accepted: false, code, message, ...(advice === undefined ? {} : { advice }) }))
      return
    }
    await incoming.run(offer, stream, from)
  }

  allHeld(): HeldGuest[] {
    const now = this.#components.clock.now()
    return [
      ...[...this.#live.values()].flatMap((incoming) => heldOf(incoming) ?? []),
      ...[...this.#silent.values()].map(({ record, sinceMs }) => silentOf(record, now - sinceMs)),
    ]
  }

  /** Decides for a held copy. Throws PagemeshError `not-held`, or QEMU's error if it refuses. */
  async settle(guest: string, decision: SettleDecision): Promise<SettleOutcome> {
    const incoming = [...this.#live.values()].find(({ init, held }) => init.guest === guest && held !== undefined)
    if (incoming === undefined) {
      const silent = this.allHeld().find((held) => held.guest === guest)
      if (silent === undefined) throw notHeld(guest)
      throw new PagemeshError('guest-silent', silent.why, { fault: 'guest' })
    }
    const ending = await incoming.settle(decision)
    if (ending.as === 'arrived') return { guest, decision, state: ending.state }
    if (ending.as === 'ended') return { guest, decision, state: 'ended' }
    throw new PagemeshError('guest-gone', `${guest} is no more: its QEMU has ended.`, { fault: 'guest' })
  }

  /** Resumes a handoff that an earlier agent process left. */
  adopt(id: string, record: Record): void {
    behind(this.#components.log, 'a handoff of an earlier agent was not taken up', this.#restartUntilDone(id, record))
  }

  /** Those whose guests run here while the rest of their memory is coming. */
  serving(): Incoming[] {
    return [...this.#live.values()].filter(({ isServing }) => isServing)
  }

  /** Ends handoffs whose copy is not whole, and waits for them until `patience` resolves. */
  async stop(reason: Reason, patience: Promise<void>): Promise<void> {
    this.#life.abort()
    await Promise.allSettled([...this.#live.values()].map((incoming) => incoming.stop(reason, patience)))
  }

  #begin(offer: HandoffOffer, from: Member, requireFree: (guest: string) => void): Incoming {
    const known = this.#live.get(offer.id)
    if (offer.plan === 'rejoin') {
      if (known !== undefined && known.init.from === from.name && known.state.at === 'cut') return known
      throw new PagemeshError('nothing-to-recover', `no post-copy of ${offer.guest} waits there to be resumed.`, {
        fault: 'peer', phase: 'offer', advice: 'See `pagemesh status` there.',
      })
    }
    if (known !== undefined) {
      throw new PagemeshError('already-moving', 'the handoff has begun already.', { fault: 'peer', phase: 'offer' })
    }
    requireAllowed(this.#accept, { guest: offer.guest, from: from.name, here: this.#components.mesh.self.name })
    requireFree(offer.guest)
    if (offer.plan === 'move' && this.#arriving() >= this.#parallel) {
      throw new PagemeshError('busy', `${this.#parallel} guests are arriving there already.`, {
        fault: 'peer', phase: 'offer', advice: 'Try again when some have arrived.',
      })
    }
    const { id, guest, mode, plan } = offer
    return this.#make(id, {
      guest, from: from.name, mode, plan: plan === 'dryRun' ? { kind: 'dryRun' } : { kind: 'move', mode },
    })
  }

  async #restartUntilDone(id: string, record: Record): Promise<void> {
    const { clock, log } = this.#components
    const { guest, other, mode } = record
    while (!this.#life.signal.aborted) {
      const incoming = this.#make(id, { guest, from: other, mode, plan: { kind: 'move', mode } }, record)
      try {
        await incoming.restart(record, mayLive(record))
        this.#silent.delete(id)
        return
      } catch (error) {
        if (record.process !== undefined && !this.#silent.has(id)) {
          this.#silent.set(id, { record, sinceMs: clock.now() })
          log.warn('the QEMU of an unsettled handoff does not answer', { guest, from: other, pid: record.process.pid })
        }
        log.debug('the QEMU of an unsettled handoff does not answer yet', { id, error: describeError(error) })
      }
      this.#live.delete(id)
      await incoming.stop(stopped(), Promise.resolve())
      await clock.sleep(RETRY_MS, this.#life.signal)
    }
  }

  #make(id: string, about: Pick<IncomingInit, 'guest' | 'from' | 'mode' | 'plan'>, record?: Record): Incoming {
    const { clock, random, census, store, guests, journal, standBack } = this.#components
    const { guest: name, from, mode } = about
    let process = record?.process
    let driver: QmpIncomingDriver | undefined
    // A new destination QEMU must wait for a migration; one taken from a record already did.
    let hasWaited = record !== undefined
    const find = async (): Promise<Guest> => {
      const guest = hasWaited ? await guests.require(name) : await guests.requireWaiting(name)
      process = requireSame(guest, process)
      hasWaited = true
      return guest
    }
    let last: { as: IncomingRecordedAs; runState: RunState } | undefined = record
    const write = async (as: IncomingRecordedAs, runState: RunState): Promise<void> => {
      last = { as, runState }
      const undo = driver?.undo
      await journal.write(id, {
        role: 'incoming', as, guest: name, other: from, mode, runState,
        ...(process === undefined ? {} : { process }), ...(undo === undefined ? {} : { undo }),
      } satisfies Record)
    }
    const sources = [census.resident, store.source]
    const incoming = new Incoming({ ...this.#components, sources, budget: this.#budget }, {
      ...about, id, standBack, record: write,
      isPrivate: () => guests.isPrivate(name),
      has: (high, low, bits, tenant) => census.has(high, low, bits, tenant) || store.has(high, low, bits),
      createDriver: (onNews) => {
        driver = new QmpIncomingDriver({ clock, random }, {
          directory: this.#directory, mode, undo: record?.undo, find, onNews,
          onChange: () => write('loading', 'unknown'),
        })
        return driver
      },
      forget: async () => {
        last = undefined
        await journal.remove(id)
      },
      onClosed: async () => {
        if (last !== undefined) await write(last.as, last.runState)
      },
      onDelivered: (ending) => this.#delivered(incoming, ending),
      onDismissed: () => this.#drop(incoming),
    })
    this.#live.set(id, incoming)
    return incoming
  }

  #delivered(incoming: Incoming, ending: IncomingEnding): void {
    const { log, history, census } = this.#components
    this.#onRested(incoming)
    if (ending.as === 'arrived') census.arrived(incoming.init.guest)
    const { guest, from, mode, plan } = incoming.init
    if (plan.kind === 'move') {
      const about = { guest, from, to: this.#components.mesh.self.name, mode }
      const words = ending.as === 'arrived' ? { status: 'completed' as const, arrivedState: ending.state }
        : 'reason' in ending ? { code: ending.reason.code, reason: ending.reason.message } : {}
      const result = { ...failedResult(about), ...words }
      behind(log, 'a handoff is not in the history', history.add(result, { direction: 'incoming' }))
    }
    if (incoming.state.at === 'over') this.#drop(incoming)
  }

  /** Nothing of it is needed any more. Without this an agent would keep every guest's channels that ever arrived. */
  #drop(incoming: Incoming): void {
    const { log } = this.#components
    this.#live.delete(incoming.init.id)
    behind(log, 'the session of a guest could not be closed', incoming.stop(stopped(), Promise.resolve()))
  }
}

/** What is known of a held copy; undefined for a copy that is not held. */
function heldOf({ init, state, held }: Incoming): HeldGuest | undefined {
  if (held === undefined) return undefined
  const { guest, from } = init
  const { sinceMs, why } = held
  const isOpen = state.at === 'holding' || (state.at === 'cut' && state.state === undefined)
  const otherCopy = otherCopyOf(state, init)
  return { guest, from, sinceMs, why: isOpen ? why.message : sentenceOf(why), otherCopy, isOpen }
}

function silentOf({ guest, other, process }: Record, sinceMs: number): HeldGuest {
  return {
    guest, from: other, sinceMs: Math.round(sinceMs), isOpen: false,
    why: `Its waiting QEMU, process ${process!.pid}, does not answer this agent, which was restarted meanwhile. ` +
      `Where the guest runs at its source, end this process, as root: kill -KILL ${process!.pid}`,
    otherCopy: `${other} is asked as soon as it answers or has ended.`,
  }
}

function otherCopyOf(state: IncomingState, { guest, from }: Pick<IncomingInit, 'guest' | 'from'>): string {
  if (state.at === 'cut') {
    return state.isTorn
      ? `Its QEMU at ${from} has ended, and the rest of its memory with it.`
      : `The rest of its memory is at ${from}: \`pagemesh recover ${guest}\` there resumes it.`
  }
  if (state.at === 'finishing' || state.at === 'releasing') return `${from} gave the guest up.`
  const keeps = (state.at === 'breaking' && state.isKept) || (state.at === 'ending' && !state.isSettled)
  return keeps ? `${from} keeps the guest.`
    : `${from} has not said what became of its copy; it is asked every two seconds.`
}

export function notHeld(guest: string): PagemeshError {
  return new PagemeshError('not-held', `No copy of a guest named ${guest} is held here.`, {
    fault: 'usage', advice: '`pagemesh status` lists those that are.',
  })
}

function stopped(): Reason {
  return { code: 'agent-stopped', fault: 'host', message: 'The agent at the destination was stopped.' }
}
