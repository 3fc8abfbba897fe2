import assert from 'node:assert/strict'

import type { MigrationMode } from '../../src/index.ts'
import { clearDirtyLog, migratePlain, type LabCluster, type LabGuest, type PlainMode } from '../../testnet/index.ts'
import {
  expectArrivedWhole, move, moveToStandstill, stateOf, type GuestKind, type MoveResult,
} from '../support/labmove.ts'

/** Heartbeats by which a guest that has arrived shows that it lives. */
const BEATS = 2
/** Where the guest is, and goes on after each move. */
const FROM = 'a'

/** One way to move the guest, and what it took. */
export interface Measured {
  way: string
  /** What the source host's interface sent. */
  wireBytes: number
  totalMs: number
  /** Undefined for a guest that was stopped on its way. */
  downtimeMs: number | undefined
  /** What Pagemesh said of it. */
  result?: MoveResult
}

export interface ComparisonInit {
  kind: GuestKind
  guest: LabGuest
  to: string
  /** By Pagemesh it moves stopped on its way, and stands still until its memory was found equal, byte for byte. */
  comparesMemory?: boolean
}

/**
 * Moves one guest from host a to another in several ways. What arrives shows that it lives and is thrown away; the
 * guest goes on where it was: each move starts from the same place, and agents find nothing of it at the destination.
 * That is allowed because nothing outside the guest's memory changed meanwhile: its only disk is read-only.
 */
export class Comparison {
  readonly measured: Measured[] = []
  /** Moves by QEMU alone after which there was no living guest. */
  readonly #losses: string[] = []
  readonly #cluster: LabCluster
  readonly #init: ComparisonInit
  #hasMoved = false

  constructor(cluster: LabCluster, init: ComparisonInit) {
    this.#cluster = cluster
    this.#init = init
  }

  /** QEMU's own way, for its figures: if QEMU breaks the guest, the report says so. */
  async plain(mode: PlainMode): Promise<Measured> {
    const { guest } = this.#init
    const way = `QEMU ${mode}`
    let loss: string | undefined
    return await this.#measure(way, async (destination) => {
      const result = await migratePlain({ source: guest, destination, network: this.#cluster.network, mode })
      loss = result.loss
      return result
    }, async (destination) => {
      if (loss === undefined) await destination.moreBeats(BEATS).catch((error: unknown) => { loss = String(error) })
      if (loss !== undefined) this.#losses.push(`${way}: ${loss}`)
    })
  }

  /** Moves it with `pagemesh migrate`. */
  async pagemesh(way: string, mode: MigrationMode = 'precopy'): Promise<Measured> {
    const { guest, to, kind, comparesMemory = false } = this.#init
    return await this.#measure(way, async () => {
      const result = comparesMemory ? await moveToStandstill(this.#cluster, { from: FROM, to, source: guest }, { mode })
        : await move(this.#cluster, FROM, to, kind.name, '--mode', mode)
      return { totalMs: result.totalMs, downtimeMs: result.downtimeMs ?? undefined, result }
    }, async (destination) => {
      if (comparesMemory) await expectArrivedWhole(guest, destination, kind.memoryMiB!)
      else await destination.moreBeats(BEATS)
    })
  }

  /** Prints what was measured, beside the first. */
  report(): void {
    const [first] = this.measured as [Measured]
    console.log(`      ${'way'.padEnd(22)} wire MB  ratio      s  ratio  down ms  references filled by`)
    for (const { way, wireBytes, totalMs, downtimeMs, result } of this.measured) {
      console.log('      ' + [
        way.padEnd(22), (wireBytes / 1e6).toFixed(1).padStart(7), (wireBytes / first.wireBytes).toFixed(3).padStart(6),
        (totalMs / 1000).toFixed(2).padStart(6), (totalMs / first.totalMs).toFixed(2).padStart(6),
        (downtimeMs?.toFixed(0) ?? '').padStart(8), result === undefined ? '' : ` ${filledBy(result)}`,
      ].join(' ').trimEnd())
    }
    for (const loss of this.#losses) console.log(`      QEMU alone lost the guest; its figures hold: ${loss}`)
  }

  async #measure(
    way: string,
    run: (destination: LabGuest) => Promise<Pick<Measured, 'totalMs' | 'downtimeMs' | 'result'>>,
    expectLife: (destination: LabGuest) => Promise<void>,
  ): Promise<Measured> {
    const { kind, to } = this.#init
    const sent = async (): Promise<number> => (await this.#cluster.network.counters(FROM))!.sentBytes
    if (this.#hasMoved) await this.#goOn()
    else await clearDirtyLog(this.#init.guest)
    this.#hasMoved = true
    const destination = await this.#cluster.startGuest(to, { ...kind, incoming: true })
    const before = await sent()
    const { totalMs, downtimeMs, result } = await run(destination)
    const wireBytes = await sent() - before
    await expectLife(destination)
    await destination.stop()
    const measured = { way, wireBytes, totalMs, downtimeMs, ...(result === undefined ? {} : { result }) }
    this.measured.push(measured)
    return measured
  }

  /** Lets the guest that was moved run again where it was, and waits until the agents have seen it. */
  async #goOn(): Promise<void> {
    const { guest } = this.#init
    assert.equal(await stateOf(guest), 'postmigrate')
    await guest.qmp.execute('cont')
    await guest.moreBeats(BEATS)
    await this.#cluster.settled()
  }
}

export function expectAtMost(what: string, value: number, limit: number): void {
  assert.ok(value <= limit, `${what}: ${value.toFixed(3)}, at most ${limit.toFixed(3)}`)
}

function filledBy({ refsFilledBy }: MoveResult): string {
  return Object.entries(refsFilledBy).filter(([, count]) => count > 0).map(([kind, count]) => `${kind} ${count}`)
    .join(', ')
}
