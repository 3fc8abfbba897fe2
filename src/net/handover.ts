/** A connection on its way to another thread, as a message can carry it. */
export interface HandedConnection {
  /** Owned by whoever opens it. */
  fd: number
  /** Bytes that were already read. */
  early: Uint8Array
}

/** The receiver of a connection, as seen from the thread that gave it away. */
export interface Taker {
  /** Closes the connection at once. */
  destroy(): void
  /** Resolves when the connection is closed, with the error that closed it, if one did. Never rejects. */
  readonly closed: Promise<Error | undefined>
}
