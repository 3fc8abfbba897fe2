import { Hearing } from '../net/hearing.ts'
import type { PeekedEndpoint } from '../net/peekedendpoint.ts'
import { createStreamReader } from '../qemu/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { PagemeshError } from '../runtime/errors.ts'
import type { RelayEnding } from './messages.ts'
import { endingOf, newsOf, NOTHING_TOLD, outcomeOf, type MainChannel, type SourceProcess } from './outcome.ts'

/**
 * Hears a main channel out that was not carried, and that nothing else will read: a manager that cancels also ends the
 * QEMU that would have been dialled. Resolves with what it told. Never rejects.
 */
export async function hearUncarried(components: { clock: Clock }, endpoint: PeekedEndpoint): Promise<MainChannel> {
  let told = NOTHING_TOLD
  const tell = (news: Partial<MainChannel>): void => { told = { ...told, ...news } }
  const reader = createStreamReader({
    page: () => {}, zeroPage: () => {}, mark: (mark) => tell(newsOf(mark)), runState: () => {}, lost: () => {},
    resynchronised: () => {},
  })
  const hearing = new Hearing(components, { isHeld: () => false })
  const end = (): void => {
    tell({ hasStreamEnded: true })
    hearing.end()
  }
  endpoint.receive((bytes) => {
    hearing.heard(bytes.length)
    reader.push(bytes)
  }, end)
  // It never rejects.
  void endpoint.closed.then(end)
  await hearing.over
  return told
}

/** The outcome of such a migration: nothing of it has reached the destination. Pure. */
export function uncarriedEnding(
  told: MainChannel, { error, process, to }: { error: PagemeshError; process: SourceProcess; to: string },
): RelayEnding {
  if (outcomeOf(told) === 'cancelled') return endingOf('cancelled', process, to)
  const { code, message } = error
  return process === 'lives'
    ? { status: 'failed', code, reason: `It was not carried: ${message} The source QEMU lives.` }
    : {
      status: 'unknown', code,
      reason: `It was not carried: ${message} Whether the source QEMU lives cannot be seen from here.`,
    }
}
