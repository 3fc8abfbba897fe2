/** Drivers that a test plays: they note what they are told, and tell what the test says. */
import type { RunState } from '../../../src/conversation/conversation.ts'
import {
  countOfChannels, MAIN_ONLY, type BesideChannels, type DriverNews, type GuestState, type MachineDescription,
  type MigrationProgress,
} from '../../../src/guest/index.ts'
import type { Driver, IncomingDriver, OutgoingDriver } from '../../../src/handoff/driver.ts'
import { createEndpointPair, type Endpoint } from '../../../src/net/endpoint.ts'
import { MACHINE } from '../../support/fakeguest.ts'
import { TestQemu } from '../../support/passagerelay.ts'

/** A driver that does nothing by itself: it notes what it is told, and tells what the test says. */
export class PlayedDriver implements Driver {
  rejoins = false
  beside: BesideChannels = MAIN_ONLY
  status = 'none'
  guest: GuestState
  /** What it was told, in order. */
  readonly told: string[] = []
  /** What it throws when it is told something. */
  readonly refuses: Record<string, Error> = {}
  /** What it waits for before it does what it is told. */
  readonly waits: Record<string, Promise<void>> = {}
  /** How often it waited for the guest to do anything: it may take a while. */
  restLooks = 0
  /** What ends the waiting for the QEMU's connection. */
  signal: AbortSignal | undefined
  /** The QEMU's end of the connection that came last. */
  qemu: TestQemu | undefined
  /** Its ends of the connections beside the main one, in their order. */
  readonly besideQemu: TestQemu[] = []
  tell: (news: DriverNews) => void = () => {}

  constructor(guest: GuestState) {
    this.guest = guest
  }

  async *channels(signal: AbortSignal): AsyncGenerator<Endpoint> {
    this.signal = signal
    await this.obey(this.rejoins ? 'again' : 'migrate')
    const [own, theirs] = createEndpointPair()
    this.qemu = new TestQemu(theirs)
    yield own
    for (let count = 1; count < countOfChannels(this.beside); count++) {
      const [ownBeside, theirsBeside] = createEndpointPair()
      this.besideQemu.push(new TestQemu(theirsBeside))
      yield ownBeside
    }
  }

  async state(): Promise<GuestState> {
    return this.guest
  }

  async stateAtRest(): Promise<GuestState> {
    this.restLooks += 1
    return this.guest
  }

  async look(): Promise<{ status: string; state: GuestState }> {
    await this.obey('look')
    return { status: this.status, state: this.guest }
  }

  /** One that does not answer is told by what it refuses `look` with. */
  async lookOr(otherwise: { status: string; state: GuestState }): Promise<{ status: string; state: GuestState }> {
    try {
      return await this.look()
    } catch {
      return otherwise
    }
  }

  async close(): Promise<void> {
    await this.obey('close')
  }

  stop(): void {
    this.told.push('stop')
  }

  /** QEMU says where its migration is. */
  become(status: string, error?: string): void {
    this.status = status
    const state = status === 'completed' ? { state: this.guest } : {}
    this.tell({ kind: 'qemu', status, ...(error === undefined ? {} : { error }), ...state })
  }

  die(wasHeard = true): void {
    this.qemu?.endpoint.destroy()
    this.tell({ kind: 'gone', wasHeard })
  }

  protected async obey(command: string): Promise<void> {
    this.told.push(command)
    const name = command.split(' ')[0]!
    await this.waits[name]
    const refusal = this.refuses[name]
    if (refusal !== undefined) throw refusal
  }
}

export class PlayedSource extends PlayedDriver implements OutgoingDriver {
  ignoresCancel = false
  progressed: MigrationProgress | undefined = {
    status: 'active', transferredBytes: 0, remainingBytes: 250, totalBytes: 1000, dirtySyncCount: 1,
    dirtyBytesPerSecond: 0, downtimeMs: 5,
  }

  async prepare(): Promise<MachineDescription> {
    await this.obey('prepare')
    return MACHINE
  }

  startPostcopy(): Promise<void> {
    return this.obey('startPostcopy')
  }

  allowPause(): Promise<void> {
    return this.obey('allowPause')
  }

  async cancel(): Promise<void> {
    await this.obey('cancel')
    if (!this.ignoresCancel) this.become('cancelled')
  }

  async takeBack(runState: RunState): Promise<void> {
    await this.obey(`takeBack ${runState}`)
  }

  async progress(): Promise<MigrationProgress | undefined> {
    await this.obey('progress')
    return this.progressed
  }
}

export class PlayedDestination extends PlayedDriver implements IncomingDriver {
  checkedWith: unknown

  async check(...args: Parameters<IncomingDriver['check']>): Promise<void> {
    this.checkedWith = args
    await this.obey('check')
  }

  prepare(): Promise<void> {
    return this.obey('prepare')
  }

  async release(runState: GuestState): Promise<GuestState> {
    await this.obey(`release ${runState}`)
    this.guest = runState
    return runState
  }

  async end(): Promise<void> {
    await this.obey('end')
  }
}
