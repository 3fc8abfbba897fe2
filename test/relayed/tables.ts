import { systemClock } from '../../src/runtime/clock.ts'
import { waitFor, type LabHost } from '../../testnet/index.ts'
import { runCommand } from '../../testnet/machine/command.ts'

/** The owner's end takes 10 to 40 ms: nft notices that its agent is dead, and ends. */
const GONE_MS_MAX = 1_000

/** All of a host's tables, as nft lists them. */
export async function tablesOf({ exec }: LabHost): Promise<string> {
  return await runCommand([...exec, 'nft', 'list', 'ruleset'])
}

/** Resolves when no table redirects connections to a killed agent any more. */
export async function untilDirect(host: LabHost): Promise<void> {
  await waitFor(async () => ((await tablesOf(host)).includes('table inet pagemesh {') ? undefined : true),
    { clock: systemClock, what: 'the table to go', timeoutMs: GONE_MS_MAX, pauseMs: 20 })
}
