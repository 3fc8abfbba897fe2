import assert from 'node:assert/strict'

import type { MigrationMode } from '../../src/index.ts'
import {
  clearDirtyLog, migratePlain, sentDuring, stateOf, type LabCluster, type LabGuest, type PlainMode,
} from '../../testnet/index.ts'
import {
  expectArrivedWhole, move, moveToStandstill, type GuestKind, type MoveResult,
} from '../support/labmove.ts'

/** Heartbeats by which an arrived guest shows that it lives. */
const BEATS = 2
/** The guest's host, where it runs on after each move. */
const FROM = 'a'

/** The figures of one way to move the guest. */
export interface Measured {
  way: string
  /** Bytes that the source host's interface sent. */
  wireBytes: number
  totalMs: number
  /** Undefined for a guest that was stopped on its way. */
  downtimeMs: number | undefined
  /** Pagemesh's own result. */
  result?: MoveResult
}

export interface ComparisonInit {
  kind: GuestKind
  guest: LabGuest
  to: string
  /** With Pagemesh the guest is stopped on its way, until its memory was found equal byte for byte. */
  comparesMemory?: boolean
}

/**
 * Moves one guest from host a to another in several ways. The arrived guest shows that it lives and is ended; the guest
 * runs on at its source: each move starts from the same place, and the agents find nothing of it at the destination.
 * That is safe because nothing outside the guest's memory changed meanwhile: its only disk is read-only.
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

  /** QEMU's own way, for its figures: if QEMU breaks the guest, the report tells. */
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
      const result = await (comparesMemory ? moveToStandstill : move)(this.#cluster, { guest, from: FROM, to, mode })
      return { totalMs: result.totalMs, downtimeMs: result.downtimeMs ?? undefined, result }
    }, async (destination) => {
      if (comparesMemory) await expectArrivedWhole(guest, destination, kind.memoryMiB!)
      else await destination.moreBeats(BEATS)
    })
  }

  /** Prints the figures, with ratios to the first. */
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
    if (this.#hasMoved) await this.#goOn()
    else await clearDirtyLog(this.#init.guest)
    this.#hasMoved = true
    const destination = await this.#cluster.startGuest(to, { ...kind, incoming: true })
    const { result: { totalMs, downtimeMs, result }, sentBytes } =
      await sentDuring(this.#cluster.network, FROM, () => run(destination))
    await expectLife(destination)
    await destination.stop()
    const measured = { way, wireBytes: sentBytes!, totalMs, downtimeMs, ...(result === undefined ? {} : { result }) }
    this.measured.push(measured)
    return measured
  }

  /** Resumes the moved guest at its source, and waits until the agents have seen it. */
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
