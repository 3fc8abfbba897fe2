import assert from 'node:assert/strict'

import { PagemeshError } from '../../src/runtime/errors.ts'

/** The decoded result, or undefined if it was refused as a peer's fault with this code. */
export function unlessRefused<T>(code: string, decode: () => T): T | undefined {
  try {
    return decode()
  } catch (error) {
    assert.ok(error instanceof PagemeshError && error.code === code && error.fault === 'peer', String(error))
    return undefined
  }
}
