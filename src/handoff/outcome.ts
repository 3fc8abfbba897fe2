/**
 * What became of a guest at the host that sent it: asked by a destination that has loaded the guest but lost the
 * connection before it heard whether the source gave it up.
 *
 *   destination -> source   the guest's name
 *   source -> destination   { state }: what its QEMU says now
 */
import type { GuestState } from '../guest/index.ts'
import type { Mesh, MessageStream } from '../mesh/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'

export const OUTCOME_PROTOCOL = '/pagemesh/outcome/1'

const ASK_EVERY_MS = 2000
const ASK_FOR_MS = 10 * 60_000
const NAME_BYTES_MAX = 255

/** `given-up`: it runs here or nowhere. `kept`: it lives on at the source. */
export type Outcome = 'given-up' | 'kept' | 'unknown'

/** Asks again until the host answers, for ten minutes at most. */
export async function askOutcome(
  components: { mesh: Mesh; clock: Clock; log: Log },
  init: { host: string; guest: string; signal: AbortSignal },
): Promise<Outcome> {
  const { mesh, clock } = components
  const deadline = clock.now() + ASK_FOR_MS
  while (clock.now() < deadline && !init.signal.aborted) {
    const outcome = await askOnce(mesh, init).catch(() => 'unknown' as const)
    if (outcome !== 'unknown') return outcome
    await clock.sleep(ASK_EVERY_MS, init.signal).catch(() => undefined)
  }
  return 'unknown'
}

async function askOnce(mesh: Mesh, init: { host: string; guest: string; signal: AbortSignal }): Promise<Outcome> {
  const stream = await mesh.open(init.host, OUTCOME_PROTOCOL, init.signal)
  try {
    await stream.send(new TextEncoder().encode(init.guest), init.signal)
    return outcomeOf(new TextDecoder().decode(await stream.receive(init.signal)))
  } finally {
    await stream.close().catch(() => undefined)
  }
}

/** Answers one such question; `stateOf` is undefined for a guest that is not here. */
export async function answerOutcome(
  stream: MessageStream,
  stateOf: (guest: string) => Promise<GuestState | undefined>,
): Promise<void> {
  const name = await stream.receive()
  const state = name.length > NAME_BYTES_MAX ? undefined : await stateOf(new TextDecoder().decode(name))
  await stream.send(new TextEncoder().encode(state ?? 'absent'))
  await stream.close()
}

/** Pure: a source in `postmigrate` has given its guest up; one that runs or was paused has not. */
export function outcomeOf(state: string): Outcome {
  if (state === 'postmigrate') return 'given-up'
  if (state === 'running' || state === 'paused') return 'kept'
  return 'unknown'
}
