import type { Mesh } from '../mesh/index.ts'
import type { Popularity } from '../popularity/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { TAIL_COPIES } from './policy.ts'
import { TailOwners } from './tailowners.ts'

/** For so long the members are taken to be the same, ms: holders are asked for page by page. */
const MEMBERS_MS = 1_000

export interface HoldersComponents {
  clock: Clock
  mesh: Pick<Mesh, 'self' | 'members'>
  popularity: Pick<Popularity, 'view'>
}

/** Who holds a page: the hosts whose guests do, and those that may keep it for all. */
export class Holders {
  readonly #components: HoldersComponents
  /** The owners of the tail among the members that there were at `#membersAt`. */
  #owners: TailOwners | undefined
  #membersAt = 0

  constructor(components: HoldersComponents) {
    this.#components = components
  }

  /** The owners of the tail among the members that there are now. */
  owners(): TailOwners {
    const { clock, mesh } = this.#components
    const others = mesh.members().map(({ name }) => name)
    this.#owners = new TailOwners({ self: mesh.self.name, others, copies: TAIL_COPIES })
    this.#membersAt = clock.now()
    return this.#owners
  }

  /** Names of the other hosts that may have this page, as far as they are known here. A little work for each member. */
  of(high: number, low: number): string[] {
    const { clock, popularity: { view }, mesh } = this.#components
    const isKnown = this.#owners !== undefined && clock.now() - this.#membersAt < MEMBERS_MS
    const owners = isKnown ? this.#owners! : this.owners()
    return [...new Set([...view.holdersOf(high, low), ...owners.othersOf(low)])]
      .filter((name) => name !== mesh.self.name)
  }
}
