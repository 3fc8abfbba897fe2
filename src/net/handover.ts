/** A connection on its way to another thread, as a message can carry it. */
export interface HandedConnection {
  /** Belongs to whoever opens it. */
  fd: number
  /** What was read of it already. */
  early: Uint8Array
}

/** Who takes a connection over, as it is seen from where the connection was. */
export interface Taker {
  /** Closes the connection at once. */
  destroy(): void
  /** Resolves when the connection is closed, with the error that closed it, if one did. Never rejects. */
  readonly closed: Promise<Error | undefined>
}
