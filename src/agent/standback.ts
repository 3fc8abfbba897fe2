import type { Census } from '../census/index.ts'
import type { Keeper } from '../placement/index.ts'
import type { Popularity } from '../popularity/index.ts'
import type { Swap } from '../swap/index.ts'

/** Pauses background work while a guest moves; returns a function that resumes it. */
export function standBack(
  { census, popularity, keeper, swap }: { census: Census; popularity: Popularity; keeper: Keeper; swap: Swap },
): () => void {
  const goOns = [census, popularity, keeper, swap].map((part) => part.standBack())
  return () => goOns.forEach((goOn) => goOn())
}
