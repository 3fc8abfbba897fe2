import { createPageHasher } from '../../../src/page/index.ts'
import { madeIds } from '../../support/madeids.ts'
import { pageOf } from './madememory.ts'

export const pageKey = new Uint8Array(32).fill(3)
export const hasher = createPageHasher(pageKey)

export const { idOf, prefixOf } = madeIds<number | 'zero'>(hasher, pageOf)

export function numbers(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, index) => from + index)
}
