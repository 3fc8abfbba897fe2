#!/usr/bin/env -S node --min-semi-space-size=32 --initial-old-space-size=256
/**
 * A host of docker-compose.yml: the agent and its guests, in one process tree with the guests below the agent. Where
 * Yama restricts ptrace (Ubuntu's default), a process may read only its descendants' memory; so no capability is
 * needed.
 */
import { existsSync, linkSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'

import { readConfig, runDaemon } from '../../src/daemon/index.ts'
import { createLog, describeError, systemClock, writeClusterKey } from '../../src/index.ts'
import { systemErrorCode } from '../../src/runtime/errors.ts'
import { createHostGuests } from './guests.ts'
import { CLUSTER_DIRECTORY, serveHost } from './hostsocket.ts'
import { readSettings, type HostSettings } from './settings.ts'

const RUN_DIRECTORY = '/run/pagemesh'
/** The default of the README's configuration, so that `pagemesh status` needs no flag. */
const CONTROL = join(RUN_DIRECTORY, 'control.sock')
const GUEST_DIRECTORY = join(RUN_DIRECTORY, 'guests')
const MESH_PORT = 4001
const HTTP_PORT = 9464
/** Shorter than an operator's, so that a first trial need not wait a minute for a scan. */
const SCAN_INTERVAL_SECONDS = 15
const KVM = { baked: '/opt/pagemesh/kvm', device: '/dev/kvm' }

const log = createLog('info')
try {
  await main()
} catch (error) {
  log.error('the host ends', { error: describeError(error) })
  process.exitCode = 1
}
process.exit()

async function main(): Promise<void> {
  const ending = endingSignal()
  const settings = readSettings(hostname(), process.env)
  mkdirSync(GUEST_DIRECTORY, { recursive: true })
  offerKvm()
  await ensureKey(join(CLUSTER_DIRECTORY, 'cluster.key'), settings.name)
  const guests = createHostGuests({ clock: systemClock, log }, {
    settings, directory: GUEST_DIRECTORY, control: CONTROL,
  })
  const server = await serveHost(settings.name, (request) => guests.answer(request))
  try {
    const daemon = runDaemon({ config: await readConfig(writeConfig(settings)), log, signal: ending })
    // `boot` rejects as soon as a guest does not boot; its success ends nothing.
    await Promise.race([daemon, guests.boot().then(() => daemon)])
  } finally {
    server.close()
    await guests.stop()
  }
}

/** Puts the image's KVM device node in place; the first guest finds out whether KVM works. */
function offerKvm(): void {
  if (existsSync(KVM.baked) && !existsSync(KVM.device)) symlinkSync(KVM.baked, KVM.device)
}

/** The first host makes the key for all; linking it in place makes it appear whole or not at all. */
async function ensureKey(path: string, name: string): Promise<void> {
  if (existsSync(path)) return
  const own = `${path}.${name}`
  rmSync(own, { force: true })
  await writeClusterKey(own)
  try {
    linkSync(own, path)
    log.info('cluster key made', { path })
  } catch (error) {
    // Another host was first.
    if (systemErrorCode(error) !== 'EEXIST') throw error
  } finally {
    rmSync(own)
  }
}

function writeConfig({ name, peers }: HostSettings): string {
  const path = join(RUN_DIRECTORY, 'agent.yaml')
  writeFileSync(path, stringify({
    name,
    clusterKey: join(CLUSTER_DIRECTORY, 'cluster.key'),
    listen: [`/ip4/0.0.0.0/tcp/${MESH_PORT}`],
    bootstrap: peers.map((peer) => `/dns4/${peer}/tcp/${MESH_PORT}`),
    guests: [join(GUEST_DIRECTORY, '*.qmp')],
    control: CONTROL,
    http: `0.0.0.0:${HTTP_PORT}`,
    census: { intervalSeconds: SCAN_INTERVAL_SECONDS },
  }))
  return path
}

/** Aborts at the first SIGTERM or SIGINT; at the second the process ends at once, and its guests with it. */
function endingSignal(): AbortSignal {
  const abort = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (abort.signal.aborted) process.exit(1)
      abort.abort()
    })
  }
  return abort.signal
}
