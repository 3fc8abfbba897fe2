import type { Endpoint } from '../net/endpoint.ts'
import { peek } from '../net/peekedendpoint.ts'
import { PagemeshError } from '../runtime/errors.ts'

/** Resolves to the connection once its first bytes are there: a QEMU may connect and then give up. */
export async function untilBegun(endpoint: Endpoint): Promise<Endpoint> {
  const peeked = peek(endpoint)
  if (await peeked.first !== undefined) return peeked
  throw new PagemeshError('qemu-failed', 'The source QEMU connected and closed without sending a byte.', {
    fault: 'guest', phase: 'starting', advice: 'See the log of that QEMU.',
  })
}
