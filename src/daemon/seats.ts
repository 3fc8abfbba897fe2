/** A connection that can be closed to free its seat. */
export interface Seated {
  destroy(): void
  once(event: 'close', listener: () => void): unknown
}

/**
 * Limits the number of connections. when all seats are taken, the connection that has been idle for longest is closed
 * for a new one. If none is idle, the new one is closed.
 */
export class Seats<Connection extends Seated> {
  readonly #seatsMax: number
  /** Idle connections, the longest idle first. */
  readonly #idle = new Set<Connection>()
  /** Connections that wait for answers, and for how many. */
  readonly #busy = new Map<Connection, number>()

  constructor(init: { seatsMax: number }) {
    this.#seatsMax = init.seatsMax
  }

  /** False if the connection was closed because there is no seat for it. */
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

  /** Marks the connection as waiting for an answer until the returned function is called, which is idempotent. */
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
