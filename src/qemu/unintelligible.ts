/**
 * Thrown inside this folder where the bytes are not what the grammar wants; the reader catches it and goes raw.
 * It is no Error because it never reaches a caller, and hostile bytes could make many: a stack for each is waste.
 */
export class Unintelligible {
  readonly reason: string
  /** Nothing that comes later can be understood either. */
  readonly forGood: boolean

  constructor(reason: string, forGood: boolean) {
    this.reason = reason
    this.forGood = forGood
  }
}

/** The bytes at the input's position are not what was expected; the reader may find its way again further on. */
export function fail(reason: string): never {
  throw new Unintelligible(reason, false)
}

/** The rest of the stream cannot be read. */
export function failForGood(reason: string): never {
  throw new Unintelligible(reason, true)
}
