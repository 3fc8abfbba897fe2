import { createCluster, ensureImage, type GuestOptions, type LabCluster, type LabGuest } from '../../testnet/index.ts'
import { expectArrivedWhole, skipWithoutLab, type GuestKind } from '../support/labmove.ts'

const SETUP_TIMEOUT_MS = 600_000

export interface JourneyInit {
  kind: GuestKind & { memoryMiB: number }
  bytesPerSecond: number
  settings?: Record<string, unknown>
  /** Further options of its first QEMU. */
  first?: Pick<GuestOptions, 'qemu'>
}

/** One step of a journey. */
export interface JourneyEnds {
  cluster: LabCluster
  from: string
  to: string
  source: LabGuest
  destination: LabGuest
}

/** A guest that moves from host to host, one test per step; after each its memory at both ends is compared. */
export interface Journey {
  /** The QEMU in which the guest lives now. */
  readonly home: LabGuest
  /**
   * Calls `move` to move it to a waiting QEMU with the further options `other`, so that it stands still after its
   * arrival.
   */
  step<Result>(
    other: Pick<GuestOptions, 'qemu' | 'paused'>, move: (ends: JourneyEnds) => Promise<Result>,
  ): Promise<Result>
}

/** For all tests of a suite; after a failed move the others are skipped, because the guest's place is unknown. */
export function journey({ kind, bytesPerSecond, settings = {}, first = {} }: JourneyInit): Journey {
  let cluster: LabCluster | undefined
  let home: LabGuest
  let hosts: readonly [string, string] = ['a', 'b']
  let isLost = false

  before(async function () {
    await skipWithoutLab.call(this)
    this.timeout(SETUP_TIMEOUT_MS)
    await ensureImage()
    cluster = await createCluster({ hosts, bytesPerSecond, settings })
    home = await cluster.startGuest('a', { ...kind, ...first })
    await home.ready()
    await cluster.settled()
  })

  beforeEach(function () {
    if (isLost) this.skip()
    isLost = true
  })

  after(async () => {
    await cluster?.close()
  })

  return {
    get home() {
      return home
    },
    async step(other, move) {
      const [from, to] = hosts
      const destination = await cluster!.startGuest(to, { ...kind, ...other, incoming: true })
      const result = await move({ cluster: cluster!, from, to, source: home, destination })
      await expectArrivedWhole(home, destination, kind.memoryMiB)
      await home.stop()
      home = destination
      hosts = [to, from]
      isLost = false
      return result
    },
  }
}
