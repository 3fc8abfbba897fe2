import type { Endpoint } from '../../../src/net/endpoint.ts'

/** The next connection that comes to a rendezvous. */
export async function arrivalOf(arrivals: AsyncGenerator<Endpoint, void>): Promise<Endpoint> {
  const { value, done } = await arrivals.next()
  if (done === true) throw new Error('no more connections come')
  return value
}
