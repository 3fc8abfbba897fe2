import { PagemeshError } from '../runtime/errors.ts'

/** The error for a message that no honest host of this version sends. */
export function badSwap(why: string): PagemeshError {
  return new PagemeshError('bad-swap', `A message about pages to trade cannot be read: ${why}.`, {
    fault: 'peer', phase: 'swap', advice: 'Check that both hosts run the same version of Pagemesh.',
  })
}
