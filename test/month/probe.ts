/**
 * Loaded into a running agent beside its own program (`--import`): answers what only the process itself knows. A
 * connection to the socket `PROBE_DIRECTORY/PID` is one request, and its answer one JSON object.
 */
import { chmodSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { isMainThread } from 'node:worker_threads'

import type { Inside } from './figures.ts'

/** A delay contains this time. */
const RESOLUTION_MS = 10
const COLLECTIONS = 3
const directory = process.env['PROBE_DIRECTORY']

if (isMainThread && directory !== undefined) serve(join(directory, String(process.pid)))

function serve(path: string): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delays.enable()
  const server = createServer((socket) => {
    // Who asks may have gone.
    socket.on('error', () => {})
    const lagOf = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS)
    const lag = { p99Ms: lagOf(delays.percentile(99)), maxMs: lagOf(delays.max) }
    // Collecting takes longer than anything that the agent does.
    delays.disable()
    for (let time = 0; time < COLLECTIONS; time++) collect()
    const { heapUsed, external, rss } = process.memoryUsage()
    const timers = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
    const inside: Inside = { heapBytes: heapUsed, externalBytes: external, rssBytes: rss, timers, lag }
    socket.end(JSON.stringify(inside), () => {
      delays.reset()
      delays.enable()
    })
  })
  // The command may have begun anew in the same process, with other flags.
  rmSync(path, { force: true })
  server.listen(path, () => chmodSync(path, 0o666)).unref()
}
