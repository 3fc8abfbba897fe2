/**
 * `npm run demo`: a real guest moves between two hosts of this machine, with Pagemesh and with QEMU alone. Progress
 * goes to standard error, the table to standard output. Exit status: 0 done, 1 failed, 130 cancelled. Processes,
 * namespaces and files of the lab are removed however it ends.
 */
import { describeError } from '../src/index.ts'
import { systemClock } from '../src/runtime/clock.ts'
import { HOSTS, LINK_BYTES_PER_SECOND, makeJourney } from './demo/journey.ts'
import { WITH_LIBVIRT } from './demo/libvirt.ts'
import type { Move } from './demo/move.ts'
import { Progress } from './demo/progress.ts'
import { renderMoves } from './demo/table.ts'
import { createCluster, missingForLab } from './index.ts'

const EXIT = { done: 0, failed: 1, cancelled: 130 } as const
const CANCELLED = new Error('cancelled')

process.exit(await main())

async function main(): Promise<number> {
  const missing = await missingForLab()
  if (missing !== undefined) {
    process.stderr.write(`The demonstration needs ${missing}.\nRun it as root on Linux: sudo npm run demo\n`)
    return EXIT.failed
  }
  const progress = new Progress({ output: process.stderr, clock: systemClock })
  try {
    const moves = await demonstrate(progress, cancellation(progress))
    process.stdout.write(`\n${renderMoves(moves)}\n`)
    progress.say('Done. In each way the guest\'s memory was the same at both ends; its heartbeat went on each time.')
    progress.say(WITH_LIBVIRT)
    return EXIT.done
  } catch (error) {
    if (error === CANCELLED) return EXIT.cancelled
    process.stderr.write(`demo: ${describeError(error)}\n`)
    return EXIT.failed
  }
}

async function demonstrate(progress: Progress, cancelled: Promise<never>): Promise<Move[]> {
  const what = `hosts ${HOSTS.join(', ')}: a network namespace, a 1 Gbit/s link and an agent each`
  const creating = progress.step(what, () => createCluster({ hosts: HOSTS, bytesPerSecond: LINK_BYTES_PER_SECOND }))
  const journey = creating.then((cluster) => makeJourney({ cluster, progress }))
  const close = async (): Promise<void> => {
    // A failed creation cleans up after itself, and fails the run.
    const cluster = await creating.catch(() => undefined)
    await cluster?.close()
  }
  try {
    return await Promise.race([journey, cancelled])
  } finally {
    await progress.step('taking everything away again', async () => {
      await close()
      // A cancelled journey fails at its next step, since the lab is gone; it removes what it made until then.
      await journey.catch(() => undefined)
      await close()
    })
  }
}

/**
 * Rejects at the first signal. Further ones change nothing: npm passes on a Ctrl-C that the process already got from
 * the terminal, and the clean-up takes only seconds.
 */
function cancellation(progress: Progress): Promise<never> {
  return new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        progress.say(`${signal}: stopping`)
        reject(CANCELLED)
      })
    }
  })
}
