import type { Member, MessageStream, NamePins, Unsubscribe } from '../mesh/index.ts'
import { asPagemeshError, PagemeshError } from '../runtime/errors.ts'
import type { Random } from '../runtime/random.ts'
import { Throttle } from '../runtime/throttle.ts'
import { withDeadline } from '../runtime/wait.ts'
import { adviceOn } from './advice.ts'
import { isTold, KeysAsker, type Told, type Untold } from './asking.ts'
import { CatchingUp } from './catchingup.ts'
import { reportOf, type Answered, type KeysReport, type RotationRequest } from './report.ts'
import { leavesBehind } from './rules.ts'
import { idOf, Steps, type StepsInit, type StepsParts } from './steps.ts'
import { decodeKeysQuestion, encodeKeysAnswer, keyProof, KEYS_PROTOCOL, type KeyChange } from './wire.ts'

export type RotationInit = StepsInit

/** How long a member may take to ask, and members that are answered at once: in all, and of these by one. */
const QUESTION_MS_MAX = 5_000
const ANSWERED_AT_ONCE = 32
const ANSWERED_EACH = 4
/** Steps that members may order, each a write of the key file: at once, and a minute. */
const STEPS = { burst: 12, aMinute: 12 }
/** How often this host looks whether an operator must do something about its keys, ms. */
const LOOK_MS = 10_000

/** The cluster keys of this host, as `pagemesh status` shows them. */
export interface KeysState {
  /** Ids. */
  used: string
  accepts: string[]
  /** Ids of keys that members have and this host lacks. */
  lacks: string[]
  /** Hosts that hold another key, so that they and this host are strangers: the name of each, or its identity. */
  strangers: string[]
  /** What to do about that, as sentences; null: nothing. */
  advice: string | null
}

export interface RotationComponents extends Omit<StepsParts, 'asker'> {
  random: Random
  pins: NamePins
}

/** The rotation of the cluster key, as this host takes part in it: `wire.ts` says how. */
export class Rotation {
  readonly #parts: StepsParts & { pins: NamePins }
  readonly #steps: Steps
  readonly #catchingUp: CatchingUp
  readonly #throttle: Throttle
  /** Peer ids of the members that are answered now. */
  readonly #answering: string[] = []
  /** An operator's step is carried out. */
  #isOrdering = false
  #advised: string | null = null

  constructor(components: RotationComponents, init: RotationInit) {
    this.#parts = { ...components, asker: new KeysAsker(components) }
    this.#steps = new Steps(this.#parts, init)
    this.#catchingUp = new CatchingUp(this.#parts, this.#steps)
    this.#throttle = new Throttle(components, { rate: STEPS.aMinute / 60, burst: STEPS.burst })
  }

  get state(): KeysState {
    const { ring, mesh, pins } = this.#parts
    const lacks = this.#catchingUp.lacking()
    const strangers = mesh.otherKeyHolders().map((peerId) => pins.nameOf(peerId) ?? peerId).sort()
    const advice = adviceOn({ lacks, strangers, isAlone: mesh.members().length === 0 })
    return { used: ring.used.id, accepts: ring.ids, lacks, strangers, advice }
  }

  /** Serves members, and follows what they do; returns how to end that. */
  start(): Unsubscribe {
    const { mesh, clock } = this.#parts
    const stopServing = mesh.handle(KEYS_PROTOCOL, (stream, from) => this.#answer(stream, from))
    const stopFollowing = this.#catchingUp.start()
    const looking = clock.every(LOOK_MS, () => this.#look())
    return () => {
      looking.cancel()
      stopFollowing()
      stopServing()
      this.#steps.stop()
    }
  }

  /**
   * Carries out what an operator asks, here and on all members. Rejects with PagemeshError, such as `key-unready`, if
   * nothing was changed; whatever a member did not do afterwards, the report says.
   */
  async run(request: RotationRequest): Promise<KeysReport> {
    if (request.action === 'list') return await this.#list(request)
    if (this.#isOrdering) throw busy()
    this.#isOrdering = true
    try {
      return await this.#order(request)
    } finally {
      this.#isOrdering = false
    }
  }

  async #list(request: RotationRequest): Promise<KeysReport> {
    const { asker, mesh } = this.#parts
    return this.#report(request, null, await asker.askAll(mesh.members()))
  }

  async #order(request: Exclude<RotationRequest, { action: 'list' }>): Promise<KeysReport> {
    const { asker, mesh } = this.#parts
    const change = changeOf(request)
    const isHere = request.action === 'install' && request.here === true
    if (request.action === 'remove') {
      const behind = [...this.#absent().keys()].filter((host) => request.without?.includes(host) !== true)
      const refusal = leavesBehind(behind, request.id)
      if (refusal !== undefined) throw refusal
    }
    // Those that come later are asked when they come.
    const members = mesh.members()
    await this.#steps.take(change, 'operator', { asksMembers: !isHere })
    if (!isHere) this.#catchingUp.owe(this.#absent())
    return this.#report(request, idOf(change), await asker.askAll(members, isHere ? undefined : change))
  }

  #report(request: RotationRequest, key: string | null, told: readonly (Told | Untold)[]): KeysReport {
    const { ring, mesh } = this.#parts
    const answers = [
      { host: mesh.self.name, ids: ring.ids, error: undefined },
      ...told.map(answeredBy).sort((one, other) => (one.host < other.host ? -1 : 1)),
    ]
    return reportOf(request, key, { answers, absent: [...this.#absent().keys()].sort() })
  }

  /** Hosts that are known and not here, with the identity that each name belongs to. */
  #absent(): Map<string, string> {
    const { mesh, pins } = this.#parts
    const here = new Set([mesh.self.name, ...mesh.members().map(({ name }) => name)])
    return new Map(pins.pins().filter(({ name }) => !here.has(name)).map(({ name, peerId }) => [name, peerId]))
  }

  async #answer(stream: MessageStream, from: Member): Promise<void> {
    const ownCount = this.#answering.filter((one) => one === from.peerId).length
    if (this.#answering.length >= ANSWERED_AT_ONCE || ownCount >= ANSWERED_EACH) {
      throw new Error('too many members ask for keys at once')
    }
    this.#answering.push(from.peerId)
    try {
      await this.#answerOne(stream, from)
    } finally {
      this.#answering.splice(this.#answering.indexOf(from.peerId), 1)
    }
  }

  async #answerOne(stream: MessageStream, from: Member): Promise<void> {
    const { clock, mesh, ring, removed } = this.#parts
    const late = (): Error => new PagemeshError('timeout', 'A member asked for nothing.', { fault: 'peer' })
    const { nonce, change } = decodeKeysQuestion(await withDeadline(
      clock, { signal: new AbortController().signal, limitMs: QUESTION_MS_MAX, late },
      (within) => stream.receive(within),
    ))
    const refused = change === undefined ? undefined : await this.#obey(change, from)
    // After the step: it says what holds now.
    const keys = ring.all.map(({ id, keys: { memberKey } }) => (
      { id, proof: keyProof(memberKey, { nonce, asker: from.peerId, answerer: mesh.self.peerId }) }))
    const answer = { keys, removed: [...removed.ids()] }
    await stream.send(encodeKeysAnswer(refused === undefined ? answer : { ...answer, refused }))
  }

  /** Why the step was not taken. */
  async #obey(change: KeyChange, from: Member): Promise<PagemeshError | undefined> {
    try {
      if (this.#isOrdering || !this.#throttle.tryTake(1)) throw busy()
      await this.#steps.take(change, from, { asksMembers: change.do !== 'install' })
      return undefined
    } catch (thrown) {
      const error = asPagemeshError(thrown)
      this.#parts.log.warn('a step of the rotation of the cluster key was refused', {
        member: from.name, step: change.do, key: idOf(change), code: error.code, error: error.message,
      })
      return error
    }
  }

  /** Says once what an operator must do. */
  #look(): void {
    const { advice } = this.state
    const isNews = advice !== null && advice !== this.#advised
    if (isNews) this.#parts.log.error('the cluster key needs attention', { advice })
    this.#advised = advice
  }
}

function changeOf(request: Exclude<RotationRequest, { action: 'list' }>): KeyChange {
  return request.action === 'install' ? { do: 'install', key: request.key } : { do: request.action, id: request.id }
}

function answeredBy(one: Told | Untold): Answered {
  const host = one.member.name
  return isTold(one) ? { host, ids: one.ids, error: one.refused } : { host, ids: undefined, error: one.error }
}

function busy(): PagemeshError {
  return new PagemeshError('busy', 'A step of the rotation is carried out already, or too many were within a minute.', {
    fault: 'usage', advice: 'Look at `pagemesh keys`, and run this again.',
  })
}
