/** A connection as far as its seat is concerned. */
export interface Seated {
  destroy(): void
  once(event: 'close', listener: () => void): unknown
}

/**
 * Seats for connections, of which the idle ones give way: when all seats are taken, whoever has been idle for
 * longest is closed for a newcomer. Only where everybody is being answered is the newcomer closed.
 */
export class Seats<Connection extends Seated> {
  readonly #seatsMax: number
  /** Those that are idle, for longest first. */
  readonly #idle = new Set<Connection>()
  /** Those that wait for answers, and for how many. */
  readonly #busy = new Map<Connection, number>()

  constructor(init: { seatsMax: number }) {
    this.#seatsMax = init.seatsMax
  }

  /** False if the connection was closed, because there is no seat for it. */
  seat(connection: Connection): boolean {
    if (this.#idle.size + this.#busy.size >= this.#seatsMax) {
      const victim = this.#idle.values().next().value ?? connection
      this.#idle.delete(victim)
      victim.destroy()
      if (victim === connection) return false
    }
    this.#idle.add(connection)
    connection.once('close', () => {
      this.#idle.delete(connection)
      this.#busy.delete(connection)
    })
    return true
  }

  /** The connection is owed an answer until what this returns is called; it does nothing a second time. */
  begin(connection: Connection): () => void {
    const isSeated = this.#idle.delete(connection) || this.#busy.has(connection)
    if (!isSeated) return () => {}
    this.#busy.set(connection, (this.#busy.get(connection) ?? 0) + 1)
    let isOwed = true
    return () => {
      const owed = this.#busy.get(connection)
      if (!isOwed || owed === undefined) return
      isOwed = false
      if (owed > 1) {
        this.#busy.set(connection, owed - 1)
        return
      }
      this.#busy.delete(connection)
      this.#idle.add(connection)
    }
  }
}
