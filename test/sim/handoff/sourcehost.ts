/** The source's host: runs the outgoing end, and answers the destination's questions. */
import type { CopyNews, Plan, Reason, Verdict } from '../../../src/conversation/conversation.ts'
import type {
  OutgoingEffect, OutgoingEvent, OutgoingRecordedAs, OutgoingState,
} from '../../../src/conversation/outgoingstate.ts'
import type { Facts } from '../../../src/conversation/restart.ts'
import { Host } from './host.ts'
import type { ModelSource } from './modelsource.ts'
import type { AnyMessage, LinkListener } from './network.ts'
import { ModelPassage } from './passage.ts'
import { Runner, type Recorded } from './runner.ts'
import { EMPTY, reasonOf } from './words.ts'
import type { World } from './world.ts'

/** The longest time until pre-copy is to be hastened: some streams are over by then. */
const HASTEN_MS = 800

type Outgoing = { state: OutgoingState; event: OutgoingEvent; effect: OutgoingEffect; as: OutgoingRecordedAs }

export class OutgoingRunner extends Runner<Outgoing> {
  readonly #host: SourceHost
  readonly link: LinkListener = {
    message: (message) => this.dispatch({ kind: 'message', message } as OutgoingEvent),
    lost: () => this.dispatch({ kind: 'linkLost', reason: reasonOf('link lost') }),
  }
  /** The channels of this connection, main first. */
  #passages: ModelPassage[] = []
  #openedCount = 0
  /** As the driver's session knows: whether QEMU waits for this agent, and its commands so far. */
  #isOurs = false
  #wasAskedToGiveUp = false
  #wasToldToGoOn = false
  #plan: Plan
  answer: ((verdict: Verdict) => void) | undefined

  constructor(host: SourceHost, state: OutgoingState, plan: Plan) {
    super(host.world, 'source', host.disk, state)
    this.#host = host
    this.#plan = plan
  }

  override step(state: OutgoingState, event: OutgoingEvent) {
    return this.world.steps.outgoing(state, event, this.world)
  }

  news(status: string): void {
    if (status === 'pre-switchover' && this.#isOurs && !this.#wasAskedToGiveUp) {
      this.#wasToldToGoOn = true
      this.#host.session.command(() => this.world.source.continueFrom(status), () => undefined)
    }
    this.dispatch({ kind: 'qemu', status })
  }

  gone(wasHeard: boolean): void {
    this.dispatch({ kind: 'gone', reason: reasonOf('source QEMU gone'), wasHeard })
  }

  override perform(effect: OutgoingEffect): void {
    const { world, session } = this.#host
    switch (effect.do) {
      case 'prepare': return this.#prepare()
      case 'offer': return this.#offer()
      case 'greet':
        this.#say({ kind: 'hello', id: '' })
        return this.#say({ kind: 'census', body: EMPTY })
      case 'useBitmap':
        if (this.#plan.kind === 'move') this.#say({ kind: 'order', body: EMPTY })
        return
      case 'say': return this.#say(effect.message)
      case 'start': return this.#start(effect.resume)
      case 'startPostcopy':
        return session.command(() => world.source.startPostcopy(), (isTaken) => {
          if (!isTaken) this.dispatch({ kind: 'failed', what: 'postcopy', reason: reasonOf('refused') })
        })
      case 'allowPause':
        return session.command(() => undefined, () => undefined)
      case 'openChannel':
        return this.#say({ kind: 'channel', number: this.#openedCount++, ticket: undefined as never })
      case 'cancelQemu': return this.#cancel()
      case 'takeBack': return this.#takeBack()
      case 'stopPassages':
        for (const passage of this.#passages) passage.fail('source', false)
        return
      case 'closeLink': return world.network.link?.close('source')
      case 'closeDriver': return session.close()
      case 'answer':
        this.answer?.(effect.verdict)
        return
      case 'deliver':
        this.delivered()
        return world.truth.outgoing(effect.ending)
      default:
    }
  }

  #say(message: AnyMessage): void {
    this.world.network.link?.send('source', message)
  }

  #prepare(): void {
    const { world, session, disk } = this.#host
    session.open()
    if ('plan' in this.state) this.#plan = this.state.plan
    if (this.#plan.kind === 'rejoin') {
      return session.command(() => world.source.status === 'postcopy-paused', (isPaused) => {
        this.dispatch(isPaused ? { kind: 'prepared' }
          : { kind: 'failed', what: 'prepare', reason: reasonOf('not paused') })
      })
    }
    session.command(() => undefined, () => {
      if (world.chance.happens(0.01)) {
        return this.dispatch({ kind: 'failed', what: 'prepare', reason: reasonOf('blocked') })
      }
      if (this.state.at !== 'preparing') return
      disk.write(() => { disk.hasUndo = true }, () => {
        if (this.state.at !== 'preparing' || !this.isLive) return
        session.command(() => { world.source.hasSettings = true }, () => this.dispatch({ kind: 'prepared' }))
      })
    })
  }

  #offer(): void {
    const { world } = this.#host
    world.network.reach(
      () => world.hosts.destination.offered(this.#plan, (reason) => world.network.reach(() => this.dispatch(
        reason === undefined ? { kind: 'accepted' } : { kind: 'failed', what: 'offer', reason },
      ))),
      () => this.dispatch({ kind: 'failed', what: 'offer', reason: reasonOf('not reached') }),
    )
  }

  #start(isResume: boolean): void {
    const { world, session } = this.#host
    const failed = (): void => this.dispatch({ kind: 'failed', what: 'passage', reason: reasonOf('passage') })
    const passage = new ModelPassage(world, {
      failed,
      read: (item) => {
        if (item.kind === 'begin') {
          this.#beginBeside(beside)
          return this.dispatch({ kind: 'begun' })
        }
        if (world.isOpaque) return
        switch (item.kind) {
          case 'state': case 'package': return this.dispatch({ kind: 'switchover', runState: item.runState })
          case 'more': return this.dispatch({ kind: 'handedOver' })
          default:
        }
      },
    })
    const beside = Array.from({ length: world.besideCount }, () => new ModelPassage(world, { failed }))
    this.#passages = [passage, ...beside]
    this.#openedCount = 0
    if (world.network.isPassageCut) for (const each of this.#passages) each.cut()
    this.#isOurs = true
    session.command(
      () => {
        if (!this.isLive) passage.fail('source', false)
        return isResume ? world.source.resume(passage, beside) : world.source.migrate(passage, beside)
      },
      (isTaken) => {
        if (!isTaken) this.dispatch({ kind: 'failed', what: 'start', reason: reasonOf('refused') })
      },
    )
  }

  /** QEMU connects once more for each channel beside main, at a time of its choice. */
  #beginBeside(beside: readonly ModelPassage[]): void {
    const { clock, source } = this.world
    let afterMs = 0
    for (const passage of beside) {
      afterMs += this.world.delay(20)
      clock.after(afterMs, () => {
        if (source.isAlive && this.#passages.includes(passage)) this.dispatch({ kind: 'begun' })
      })
    }
  }

  /** A QEMU that hands its disks over cannot be cancelled: its stream is broken. */
  #cancel(): void {
    const { world, session } = this.#host
    const breakStream = (): void => {
      if (this.#plan.kind === 'move' && this.#plan.mode === 'precopy') this.#passages[0]?.fail('source', false)
    }
    session.open()
    this.#wasAskedToGiveUp = true
    if (this.#wasToldToGoOn) return breakStream()
    session.command(() => world.source.isSwitching, (isSwitching) => {
      if (isSwitching) breakStream()
      else session.command(() => world.source.cancel(), () => undefined)
    })
  }

  #takeBack(): void {
    const { world, session } = this.#host
    session.open()
    session.command(() => world.source.takeBack(), (isBack) => this.dispatch(
      isBack ? { kind: 'takenBack' } : { kind: 'notTakenBack', reason: reasonOf('disk locked') },
    ))
  }
}

export class SourceHost extends Host<OutgoingRunner, OutgoingRecordedAs> {
  constructor(world: World) {
    super(world, 'source')
  }

  override get qemu(): ModelSource {
    return this.world.source
  }

  begin(plan: Plan): void {
    this.runner = new OutgoingRunner(this, { at: 'idle', plan }, plan)
    this.runner.dispatch({ kind: 'begin' })
    this.#hastenLater()
  }

  /** Its time is up before, during or after pre-copy; an agent that has started anew has no timer. */
  #hastenLater(): void {
    const { world, runner } = this
    const { plan, chance, clock } = world
    if (plan.kind !== 'move' || (plan.isLate !== true && (plan.mode === 'postcopy' || !chance.happens(0.1)))) return
    const by = plan.mode === 'postcopy' ? 'postcopy' : 'pause'
    clock.after(world.delay(HASTEN_MS), () => {
      if (this.isUp && this.runner === runner) runner?.dispatch({ kind: 'hasten', by })
    })
  }

  override restart(record: Recorded<OutgoingRecordedAs>, facts: Facts): OutgoingRunner {
    const step = this.world.steps.restartOutgoing(record, facts)
    const runner = new OutgoingRunner(this, step.state, this.world.plan)
    this.runner = runner
    runner.take(step, 'restart')
    return runner
  }

  /** The destination's host asks; not answered while this agent restarts. */
  asked(copy: CopyNews, answer: (verdict: Verdict) => void): void {
    if (!this.isUp) return
    const { runner } = this
    if (runner === undefined) {
      if (this.disk.record === undefined) answer({ verdict: 'unknown' })
      return
    }
    runner.answer = answer
    runner.dispatch({ kind: 'asked', copy })
  }

  cancel(reason: Reason): void {
    this.runner?.dispatch({ kind: 'cancel', reason })
  }
}
