import type { Member, Mesh } from '../mesh/index.ts'
import type { Clock } from '../runtime/clock.ts'

/** A host that left within this time may be on its way back: a restarted agent is found again within ten seconds. */
const RECENT_MS = 60_000
const WAIT_MS = 10_000
const LOOK_EVERY_MS = 100
/** Hosts remembered; beyond it the host that left first is forgotten. */
const REMEMBERED_MAX = 1024

/** Remembers hosts that left the mesh lately, and waits for their return: a link recovers before membership does. */
export class Absences {
  readonly #mesh: Mesh
  readonly #clock: Clock
  readonly #leftAt = new Map<string, number>()
  readonly #unfollow: () => void

  constructor(components: { mesh: Mesh; clock: Clock }) {
    this.#mesh = components.mesh
    this.#clock = components.clock
    this.#unfollow = this.#mesh.onMember((change, { name }) => this.#note(change, name))
  }

  /** The member of this name; waits for it if it left lately; undefined if it does not come back. */
  async find(name: string, signal: AbortSignal): Promise<Member | undefined> {
    const leftAt = this.#leftAt.get(name)
    const isRecent = leftAt !== undefined && this.#clock.now() - leftAt < RECENT_MS
    const deadline = this.#clock.now() + (isRecent ? WAIT_MS : 0)
    for (;;) {
      const member = this.#mesh.member(name)
      if (member !== undefined || this.#clock.now() >= deadline || signal.aborted) return member
      // Rejects only with the signal, and the loop sees that.
      await this.#clock.sleep(LOOK_EVERY_MS, signal).catch(() => undefined)
    }
  }

  stop(): void {
    this.#unfollow()
  }

  #note(change: 'joined' | 'left', name: string): void {
    this.#leftAt.delete(name)
    if (change === 'joined') return
    this.#leftAt.set(name, this.#clock.now())
    const [first] = this.#leftAt.keys()
    if (this.#leftAt.size > REMEMBERED_MAX && first !== undefined) this.#leftAt.delete(first)
  }
}
