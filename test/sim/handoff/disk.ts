/** The records that an agent has written: later than requested, in order, and only in part if the agent died. */
import type { World } from './world.ts'

export class ModelDisk<Recorded> {
  readonly #world: World
  record: Recorded | undefined
  /** Settings of a QEMU that must be put back. */
  hasUndo = false
  #lastAtMs = 0
  readonly #writes: { run: () => void; isDone: boolean }[] = []

  constructor(world: World) {
    this.#world = world
  }

  write(run: () => void, written?: () => void): void {
    const { clock } = this.#world
    this.#lastAtMs = Math.max(this.#lastAtMs, clock.now() + this.#world.delay(30))
    const write = { run, isDone: false }
    this.#writes.push(write)
    clock.after(this.#lastAtMs - clock.now(), () => {
      if (write.isDone) return
      write.isDone = true
      this.#writes.shift()
      run()
      written?.()
    })
  }

  /** Of the pending records, a random number is written, from the first on. */
  crash(): void {
    const writes = this.#writes.splice(0)
    const count = this.#world.chance.below(writes.length + 1)
    for (const [index, write] of writes.entries()) {
      write.isDone = true
      if (index < count) write.run()
    }
  }
}
