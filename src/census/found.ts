import type { GuestMemory } from '../guest/index.ts'
import type { PageScope, SortedTable } from '../page/index.ts'
import type { GuestCensus } from './api.ts'
import { fingerprintBytes, fingerprintsOf, type Fingerprints } from './fingerprints.ts'
import { isVolatile, numberOf } from './place.ts'
import { pageCountOf, type ScanResult } from './scan.ts'
import type { Shed } from './shedding.ts'

/** When and how often a guest was scanned, and in which scope. */
interface Occasion {
  scope: PageScope
  scans: number
  scannedAt: number
}

/**
 * A guest's data between two scans; immutable: a shortened copy replaces it. If pages were left out of the table, the
 * fingerprints are kept too: otherwise those pages would always look new.
 */
export class Found implements GuestCensus {
  readonly guest: string
  readonly memory: GuestMemory
  readonly scope: PageScope
  readonly residentPages: number
  readonly zeroPages: number
  readonly omittedPages: number
  readonly isCompared: boolean
  readonly scans: number
  readonly scannedAt: number
  readonly table: SortedTable
  readonly #fingerprints: Fingerprints | undefined

  constructor(memory: GuestMemory, result: Omit<ScanResult, 'fingerprints'>, when: Occasion, prints?: Fingerprints) {
    this.guest = memory.name
    this.memory = memory
    this.scope = when.scope
    this.residentPages = result.residentPages
    this.zeroPages = result.zeroPages
    this.omittedPages = result.omittedPages
    this.isCompared = result.isCompared
    this.table = result.table
    this.scans = when.scans
    this.scannedAt = when.scannedAt
    this.#fingerprints = prints
  }

  get distinctPages(): number {
    return this.table.size
  }

  /** Memory taken, bytes. */
  get bytes(): number {
    return this.table.bytes + (this.#fingerprints?.byteLength ?? 0)
  }

  /** Size of its fingerprints, kept or not, bytes. */
  get fingerprintBytes(): number {
    return fingerprintBytes(pageCountOf(this.memory))
  }

  numberAt(index: number): number {
    return numberOf(this.table.valueAt(index))
  }

  isStable(index: number): boolean {
    return !isVolatile(this.table.valueAt(index))
  }

  /** A copy of the fingerprints for the next scan. */
  async fingerprints(): Promise<Fingerprints> {
    return this.#fingerprints?.slice() ?? await fingerprintsOf(this.table, pageCountOf(this.memory))
  }

  /** A copy with fewer pages, and with fingerprints if there is room for them and the table is incomplete. */
  async shortened({ table, omittedPages }: Shed, isRoomForPrints: boolean): Promise<Found> {
    const result = {
      residentPages: this.residentPages, zeroPages: this.zeroPages, isCompared: this.isCompared, table,
      omittedPages: this.omittedPages + omittedPages,
    }
    if (!isRoomForPrints || result.omittedPages === 0) return new Found(this.memory, result, this)
    return new Found(this.memory, result, this, this.#fingerprints ?? await this.fingerprints())
  }
}
