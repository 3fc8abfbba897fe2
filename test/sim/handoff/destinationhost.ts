/** The destination's host: runs the incoming end, and sends its questions to the source's host. */
import type { CopyNews, Plan, Reason, RunState } from '../../../src/conversation/conversation.ts'
import type {
  IncomingEffect, IncomingEvent, IncomingPlan, IncomingRecordedAs, IncomingState,
} from '../../../src/conversation/incomingstate.ts'
import type { Facts } from '../../../src/conversation/restart.ts'
import { Host } from './host.ts'
import type { ModelDestination } from './modeldestination.ts'
import { ModelLink, type LinkListener } from './network.ts'
import { Runner, type Recorded } from './runner.ts'
import { EMPTY, reasonOf, stateOf } from './words.ts'
import type { World } from './world.ts'

/** Longest time for the answers of two commands. */
const ANSWERS_MS_MAX = 6000

type Incoming = { state: IncomingState; event: IncomingEvent; effect: IncomingEffect; as: IncomingRecordedAs }

export class IncomingRunner extends Runner<Incoming> {
  readonly #host: DestinationHost
  readonly link: LinkListener = {
    message: (message) => this.dispatch({ kind: 'message', message } as IncomingEvent),
    lost: () => this.dispatch({ kind: 'linkLost', reason: reasonOf('link lost') }),
  }
  /** Answers the offer. */
  reply: ((reason?: Reason) => void) | undefined

  constructor(host: DestinationHost, state: IncomingState) {
    super(host.world, 'destination', host.disk, state)
    this.#host = host
  }

  override step(state: IncomingState, event: IncomingEvent) {
    return this.world.steps.incoming(state, event, this.world)
  }

  news(status: string): void {
    const { world } = this
    this.dispatch({ kind: 'qemu', status, ...(status === 'completed' ? { state: world.destination.runState } : {}) })
  }

  gone(): void {
    this.dispatch({ kind: 'gone', reason: reasonOf('destination QEMU gone') })
  }

  override perform(effect: IncomingEffect): void {
    const { world, session } = this.#host
    switch (effect.do) {
      case 'check': return this.#check()
      case 'accept': return this.reply?.()
      case 'refuse': return this.reply?.(effect.reason)
      case 'link': return this.#dial()
      case 'answerCensus':
        return world.network.link?.send('destination', { kind: 'bitmap', body: EMPTY })
      case 'fetch':
        if (world.chance.happens(0.2)) {
          const { link } = world.network
          world.clock.after(world.delay(100), () => {
            if (this.isLive) link?.send('destination', { kind: 'fetched', body: EMPTY })
          })
        }
        return
      case 'say': return world.network.link?.send('destination', effect.message)
      case 'openChannel': {
        const { recover, message: { number } } = effect
        return number === 0 ? this.#openMain(recover) : this.#openBeside(number)
      }
      case 'release':
        session.open()
        return this.#release(effect.runState)
      case 'endCopy':
        session.open()
        return this.#endCopy()
      case 'stopPassages':
        for (const passage of world.destination.passages) passage.fail('destination', false)
        return
      case 'closeLink': return world.network.link?.close('destination')
      case 'closeDriver': return session.close()
      case 'ask': return this.#ask(effect.copy)
      case 'deliver':
        this.delivered()
        return world.truth.incoming(effect.ending)
      default:
    }
  }

  #check(): void {
    const { world, session, disk } = this.#host
    session.open()
    const failed = (why: string): void => this.dispatch({ kind: 'failed', what: 'check', reason: reasonOf(why) })
    if ('plan' in this.state && this.state.plan.kind === 'rejoin') {
      return session.command(() => world.destination.status === 'postcopy-paused', (isPaused) => {
        if (isPaused) this.dispatch({ kind: 'checked' })
        else failed('not paused')
      })
    }
    session.command(() => undefined, () => {
      if (world.chance.happens(0.01)) return failed('another machine')
      if (this.state.at !== 'checking') return
      disk.write(() => { disk.hasUndo = true }, () => {
        if (this.state.at !== 'checking' || !this.isLive) return
        session.command(() => {
          world.destination.hasSettings = true
          world.destination.startsItself = false
        }, () => this.dispatch({ kind: 'checked' }))
      })
    })
  }

  #dial(): void {
    const { world } = this.#host
    world.network.reach(() => {
      const other = world.hosts.source.runner
      if (world.network.isLinkCut || other === undefined || !['offering', 'linking'].includes(other.state.at)) {
        return this.dispatch({ kind: 'failed', what: 'link', reason: reasonOf('no link') })
      }
      if (!this.isLive) return
      world.network.link = new ModelLink(world, { source: other.link, destination: this.link })
      if (this.state.at !== 'linking') return world.network.link.close('destination')
      this.dispatch({ kind: 'linked' })
      other.dispatch({ kind: 'linked' })
    }, () => this.dispatch({ kind: 'failed', what: 'link', reason: reasonOf('no link') }))
  }

  #openMain(isRecover: boolean): void {
    const { world, session } = this.#host
    const { passage } = world.source
    const failed = (): void => this.dispatch({ kind: 'failed', what: 'channel', reason: reasonOf('no channel') })
    if (passage === undefined || world.network.isPassageCut) {
      world.clock.after(world.delay(8000), failed)
      return
    }
    const { destination } = world
    session.command(
      () => (isRecover ? destination.migrateRecover(passage) : destination.migrateIncoming(passage)),
      (isTaken) => {
        if (!this.isLive) return
        const isWanted = ['loading', 'releasing', 'serving'].includes(this.state.at)
        const isOpen = isTaken && isWanted && passage.open({
          failed: () => this.dispatch({ kind: 'failed', what: 'passage', reason: reasonOf('passage') }),
        })
        if (!isOpen) failed()
      },
    )
  }

  /** QEMU is connected once per channel, in order. */
  #openBeside(number: number): void {
    const { world } = this
    const passage = world.source.beside[number - 1]
    const failed = (): void => this.dispatch({ kind: 'failed', what: 'passage', reason: reasonOf('passage') })
    world.clock.after(world.delay(20), () => {
      if (!this.isLive) return
      const { passages } = world.destination
      const isLater = passages.length < number || !passages[number - 1]!.isOpen
      if (isLater && ['loading', 'releasing', 'serving'].includes(this.state.at)) return this.#openBeside(number)
      if (passage === undefined || isLater || !passage.open({ failed })) failed()
    })
  }

  #release(runState: RunState): void {
    const { world, session } = this.#host
    session.command(() => world.destination.release(stateOf(runState)), (result) => {
      switch (result) {
        case 'released':
          return this.dispatch({ kind: 'released', state: world.destination.runState })
        case 'refused':
          return this.dispatch({ kind: 'notReleased', reason: reasonOf('disk locked') })
        case 'later':
          world.clock.after(20, () => {
            if (this.isLive && this.state.at === 'releasing') this.#release(runState)
          })
      }
    })
  }

  #endCopy(): void {
    const { world, session } = this.#host
    const { destination } = world
    let isAnswered = false
    const answer = (reason?: Reason): void => {
      if (isAnswered) return
      isAnswered = true
      this.dispatch(reason === undefined ? { kind: 'ended' } : { kind: 'notEnded', reason })
    }
    session.command(() => destination.quit(), (isEnded) => {
      answer(isEnded ? undefined : { ...reasonOf('it runs'), code: 'guest-runs' })
    })
    world.clock.after(ANSWERS_MS_MAX, () => {
      if (isAnswered || !this.isLive || !destination.isAlive) return
      const mayKill = world.mayKill && session.isConnected && destination.isSilent
      if (!mayKill || !world.steps.cannotHaveRun(session.hearing)) return answer(reasonOf('it does not answer'))
      destination.kill()
      answer()
    })
  }

  #ask(copy: CopyNews): void {
    const { world } = this
    world.network.reach(() => world.hosts.source.asked(copy, (verdict) => {
      world.network.reach(() => this.dispatch({ kind: 'answered', asked: copy.kind, verdict }))
    }))
  }
}

export class DestinationHost extends Host<IncomingRunner, IncomingRecordedAs> {
  constructor(world: World) {
    super(world, 'destination')
  }

  override get qemu(): ModelDestination {
    return this.world.destination
  }

  /** The source's host offers a guest, or the resumption of a handoff. */
  offered(plan: Plan, reply: (reason?: Reason) => void): void {
    if (!this.isUp) return
    if (plan.kind === 'rejoin') {
      if (this.runner?.state.at !== 'cut') return reply(reasonOf('nothing is cut here'))
      this.runner.reply = reply
      return this.runner.dispatch({ kind: 'rejoin' })
    }
    if (this.runner !== undefined || !this.qemu.isAlive) return reply(reasonOf('no such guest waits'))
    const incoming: IncomingPlan = plan
    this.runner = new IncomingRunner(this, { at: 'idle', plan: incoming })
    this.runner.reply = reply
    this.runner.dispatch({ kind: 'begin' })
  }

  override restart(record: Recorded<IncomingRecordedAs>, facts: Facts): IncomingRunner {
    const step = this.world.steps.restartIncoming(record, facts)
    const runner = new IncomingRunner(this, step.state)
    this.runner = runner
    runner.take(step, 'restart')
    return runner
  }
}
