import type { Member, Mesh, Standing } from '../mesh/index.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { Account } from './account.ts'
import type { SwapPurpose } from './api.ts'
import { AskingSession, type SessionEnd } from './askingsession.ts'
import { blame, WEIGHT } from './blame.ts'
import type { ProactiveCap } from './cap.ts'
import type { HolderRatings } from './ratings.ts'

/** An idle session is closed after this long, ms. */
const IDLE_MS = 10_000
const SWEEP_MS = 2_000
/** Approximate bytes on the wire for opening a stream. */
const OPENING_BYTES = 1_000

interface Components {
  mesh: Mesh
  clock: Clock
  log: Log
  standing: Standing
  ratings: HolderRatings
  cap: ProactiveCap
  accounts: Readonly<Record<SwapPurpose, Account>>
}

/** The asking ends of this host's sessions: one for each holder and purpose, opened when needed. */
export class Sessions {
  readonly #components: Components
  readonly #onChange: () => void
  readonly #sessions = { placement: new Map<string, AskingSession>(), handoff: new Map<string, AskingSession>() }
  #sweep: Timer | undefined

  /** @param onChange called whenever a holder pauses or resumes. */
  constructor(components: Components, onChange: () => void) {
    this.#components = components
    this.#onChange = onChange
  }

  /** The session with a holder, a new one if there is none. */
  with(holder: Member, purpose: SwapPurpose): AskingSession {
    const sessions = this.#sessions[purpose]
    const known = sessions.get(holder.name)
    if (known !== undefined) return known
    const { mesh, clock, cap, accounts } = this.#components
    if (purpose === 'placement') cap.charge(OPENING_BYTES)
    const session = new AskingSession({ mesh, clock, account: accounts[purpose] }, {
      holder, purpose,
      onShut: this.#onChange,
      onStray: (bodyBytes) => { if (purpose === 'placement') cap.charge(bodyBytes) },
      onOver: (end) => {
        if (sessions.get(holder.name) === session) sessions.delete(holder.name)
        this.#note(end, holder)
      },
    })
    sessions.set(holder.name, session)
    this.#sweep ??= clock.every(SWEEP_MS, () => this.#closeIdle())
    return session
  }

  /** Whether a holder has paused its answers. */
  isShut(holderName: string, purpose: SwapPurpose): boolean {
    return this.#sessions[purpose].get(holderName)?.isShut === true
  }

  /** Unanswered wants at a holder. */
  wantsOf(holderName: string, purpose: SwapPurpose): number {
    return this.#sessions[purpose].get(holderName)?.wants ?? 0
  }

  async close(): Promise<void> {
    this.#sweep?.cancel()
    this.#sweep = undefined
    await Promise.all(this.#all().map((session) => session.close()))
  }

  /**
   * Standing per end of a session: networks break at no cost; stalling within an answer is suspicious; nonsense is
   * dishonest.
   */
  #note(end: SessionEnd, holder: Member): void {
    if (end !== 'closed') this.#components.ratings.failed(holder.name)
    if (end === 'stalledMidway') blame(this.#components, holder, WEIGHT.suspicious, end)
    if (end === 'nonsense') blame(this.#components, holder, WEIGHT.dishonest, end)
  }

  #closeIdle(): void {
    // Never rejects: a session that breaks while it closes counts as closed.
    for (const session of this.#all()) if (session.idleMs >= IDLE_MS) void session.close()
    if (this.#all().length > 0) return
    this.#sweep?.cancel()
    this.#sweep = undefined
  }

  #all(): AskingSession[] {
    return [...this.#sessions.placement.values(), ...this.#sessions.handoff.values()]
  }
}
