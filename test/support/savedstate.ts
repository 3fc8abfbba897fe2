/** A guest's state in a file, by QEMU alone: a guest that boots in seconds is back in one. */
import { systemClock } from '../../src/runtime/clock.ts'
import { waitFor } from '../../testnet/index.ts'
import type { OtherClient } from './otherclient.ts'

const WAIT_MS = 30_000

/** Saves the state of a guest, which stands still from then on. */
export async function saveState(client: OtherClient, path: string): Promise<void> {
  await client.execute('migrate', { uri: `exec:cat >${path}` })
  await waitFor(async () => {
    const { status } = await client.execute('query-migrate') as { status?: string }
    return status === 'completed' ? true : undefined
  }, { clock: systemClock, what: `a guest to be saved in ${path}`, timeoutMs: WAIT_MS })
}

/** Loads a saved state into a waiting QEMU; resolves when the guest runs. */
export async function loadState(client: OtherClient, path: string): Promise<void> {
  await client.execute('migrate-incoming', { uri: `exec:cat ${path}` })
  await waitFor(async () => await client.state() === 'running' ? true : undefined, {
    clock: systemClock, what: `the guest of ${path} to run`, timeoutMs: WAIT_MS, pauseMs: 20,
  })
}
