/**
 * Thrown inside this folder where the bytes do not fit the grammar; the reader catches it and passes the bytes raw. It
 * is no Error: it never reaches a caller, and hostile bytes could cause many, each with a useless stack.
 */
export class Unintelligible {
  readonly reason: string
  /** Nothing after this can be understood either. */
  readonly forGood: boolean

  constructor(reason: string, forGood: boolean) {
    this.reason = reason
    this.forGood = forGood
  }
}

/** The bytes at the input's position do not fit the grammar; the reader may resynchronise further on. */
export function fail(reason: string): never {
  throw new Unintelligible(reason, false)
}

/** The rest of the stream cannot be read. */
export function failForGood(reason: string): never {
  throw new Unintelligible(reason, true)
}
