import type { Right } from '../../src/host/rights.ts'
import { ensureImage } from '../../testnet/index.ts'
import { skipWithoutLab } from '../support/labmove.ts'
import { TravellingGuest } from './travelling.ts'
import { TwoHosts, type WitnessKind } from './twohosts.ts'

const SETUP_TIMEOUT_MS = 600_000

/** Set before the first test of a suite. */
export interface Travels {
  hosts: TwoHosts
  guest: TravellingGuest
}

export interface TravelsInit {
  /** Further configuration of both agents. */
  settings?: Record<string, unknown>
  /** Capabilities of both agents beyond their service's. */
  rights?: readonly Right[]
  kind?: WitnessKind
  /** Further needs of a suite, before the guest boots and after all has ended. */
  prepare?: (hosts: TwoHosts) => Promise<void> | void
  mend?: (hosts: TwoHosts) => Promise<void>
}

/** Two hosts and a guest on one of them, for all tests of a suite; before each test the guest is as booted. */
export function travels({ settings, rights, kind, prepare, mend }: TravelsInit = {}): Travels {
  const made = {} as Travels

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    made.hosts = await TwoHosts.create(settings, rights)
    await prepare?.(made.hosts)
    made.guest = await TravellingGuest.boot(made.hosts, 'traveller', kind)
    await made.hosts.cluster.settled()
  })

  beforeEach(async () => {
    made.hosts.trace.clear()
    await made.guest.restore()
  })

  afterEach(async function () {
    if (this.currentTest?.state !== 'failed') return
    this.timeout(SETUP_TIMEOUT_MS)
    console.log(made.hosts.evidence())
    await mend?.(made.hosts)
    // So that the next test's result is its own.
    await made.hosts.restartAgents()
  })

  after(async function () {
    this.timeout(SETUP_TIMEOUT_MS)
    await (made as Partial<Travels>).hosts?.close()
  })

  return made
}
