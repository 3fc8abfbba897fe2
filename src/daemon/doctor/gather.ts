/** Looks at the host, the agent and the configuration, and judges nothing. */
import { lookup } from 'node:dns/promises'
import { constants } from 'node:fs'
import { access, open, readFile, statfs } from 'node:fs/promises'
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'

import { NFS } from '../../host/filesystem.ts'
import { parseCapabilities } from '../../host/rights.ts'
import { defaultLane, OPTIONS, qemuVersionAt, scanQemus, whyNoInterception, type Examination } from '../../index.ts'
import { isUnspecifiedHost, parseHostPort, parseTcpMultiaddr, type HostPort } from '../../net/hostport.ts'
import { tryToConnect } from '../../net/tcpprobe.ts'
import { systemClock } from '../../runtime/clock.ts'
import { describeError, PagemeshError, systemErrorCode } from '../../runtime/errors.ts'
import { withTimeout } from '../../runtime/wait.ts'
import { readConfig, type Config } from '../config.ts'
import { askAgent, CONTROL_LIMITS, type HistoryResult } from '../control/index.ts'
import { findSockets, nearestExisting, readUsableConfig } from '../usableconfig.ts'
import type { AgentFacts, Facts, Failure, StoreFacts } from './facts.ts'

export interface GatherInit {
  /** Path of the configuration. */
  file: string
  /** Path of the control socket; left out: as the configuration says. */
  control: string | undefined
  /** The one member to be asked; left out: all. */
  to: string | undefined
  /** Of the command that asks. */
  version: string
}

/** The ways to all members are tried one after the other, some at a time. */
const EXAMINE_MS_MAX = 120_000
const ANSWER_MS_MAX = 10_000
const CONNECT_MS_MAX = 2_000
const GREETING_MS_MAX = 3_000
/** A resolver that nobody answers waits for tens of seconds. */
const LOOKUP_MS_MAX = 5_000
/** QMP sockets that are asked who is behind them. */
const SOCKETS_MAX = 64
/** `statfs` numbers of file systems that are in memory. */
const TMPFS = [0x0102_1994, 0x8584_58f6]

/** Never rejects: what cannot be seen is itself a fact. */
export async function gather({ file, control, to, version }: GatherInit): Promise<Facts> {
  const { configuration, kernel } = await lookAtConfiguration(file)
  const { config } = configuration
  const agent = await lookAtAgent(control ?? config?.control ?? defaultOf('control'), to)
  const { examination } = agent
  const { qemus, hidden } = await scanQemus('any')
  return {
    program: { version, nodeVersion: process.version },
    configuration, agent, to: to ?? null,
    listening: config === null ? [] : await lookAtPorts(config),
    names: config === null ? [] : await lookUpNames(config),
    ownAddresses: Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address)),
    rights: await rightsOf(examination?.pid ?? 'self'),
    ptraceScope: await readNumber('/proc/sys/kernel/yama/ptrace_scope'),
    pagemap: await whyNoPagemap(),
    userfaultfd: await lookAtUserfaultfd(),
    qemus: await Promise.all(qemus.map(async ({ pid }) => ({ pid, ...await rightsOf(pid) }))),
    hiddenQemus: hidden.length,
    sockets: await lookAtSockets(config?.agentOptions.guests ?? [], examination !== null),
    intercept: await lookAtInterception(config, examination),
    kernel: examination?.status.kernel ?? kernel,
    // Where its file system cannot be looked at, the configuration's check says so.
    store: config === null ? null : await lookAtStore(config).catch(() => null),
  }
}

async function lookAtConfiguration(
  file: string,
): Promise<{ configuration: Facts['configuration']; kernel: Facts['kernel'] }> {
  try {
    const { config, kernel } = await readUsableConfig(file)
    return { configuration: { file, config, failure: null }, kernel }
  } catch (error) {
    // What it says may be looked at even where something that it names is missing.
    const config = await readConfig(file).catch(() => null)
    return { configuration: { file, config, failure: failureOf(error) }, kernel: null }
  }
}

async function lookAtAgent(control: string, to: string | undefined): Promise<AgentFacts> {
  const asked = { path: control, answerMsMax: ANSWER_MS_MAX }
  try {
    // First what is answered at once: whether anybody is there must not take a minute to be known.
    const listed = { command: 'history', arguments: { countMax: CONTROL_LIMITS.recordsMax } } as const
    const { handoffs } = await askAgent<HistoryResult>({ ...asked, request: listed })
    const request = { command: 'examine', arguments: to === undefined ? {} : { to } } as const
    const examination = await askAgent<Examination>({ ...asked, request, answerMsMax: EXAMINE_MS_MAX })
    return { control, examination, failure: null, history: handoffs }
  } catch (error) {
    return { control, examination: null, failure: failureOf(error), history: [] }
  }
}

function failureOf(error: unknown): Failure {
  if (error instanceof PagemeshError) return { message: error.message, advice: error.advice ?? null, code: error.code }
  return { message: describeError(error), advice: null }
}

async function lookAtPorts({ agentOptions: { listen = [], lane }, http }: Config): Promise<Facts['listening']> {
  const places: { key: 'listen' | 'lane' | 'http'; place: HostPort | undefined }[] = [
    ...listen.map((address) => ({ key: 'listen' as const, place: parseTcpMultiaddr(address) })),
    { key: 'lane', place: parseHostPort(lane ?? defaultLane(listen)) },
    ...(http === undefined ? [] : [{ key: 'http' as const, place: parseHostPort(http) }]),
  ]
  const tried = places.map(async ({ key, place }) => {
    // A port that is free to choose is known to the agent alone.
    if (place === undefined || place.port === 0) return []
    return [{ key, ...await tryToConnect(systemClock, reachable(place), CONNECT_MS_MAX) }]
  })
  return (await Promise.all(tried)).flat()
}

/** Who listens at all addresses is met at the loopback one. */
function reachable({ host, port }: HostPort): HostPort {
  if (!isUnspecifiedHost(host)) return { host, port }
  return { host: host === '0.0.0.0' ? '127.0.0.1' : '::1', port }
}

/** The names among a configuration's addresses, and what they mean here. */
export async function lookUpNames(
  { agentOptions: { listen = [], lane, announce = [], bootstrap = [] } }: Pick<Config, 'agentOptions'>,
): Promise<Facts['names']> {
  const hosts = [
    ...[...listen, ...announce, ...bootstrap].map((address) => parseTcpMultiaddr(address)?.host),
    lane === undefined ? undefined : parseHostPort(lane)?.host,
  ]
  const names = [...new Set(hosts)].filter((host): host is string => host !== undefined && isIP(host) === 0)
  return await Promise.all(names.map(async (name) => ({ name, addresses: await addressesOf(name) })))
}

async function addressesOf(name: string): Promise<string[]> {
  const asked = lookup(name, { all: true })
  const about = { phase: 'check', fault: 'network', message: `${name} was not found in time.` } as const
  // A name that nobody knows has no address.
  const found = await withTimeout(systemClock, asked, LOOKUP_MS_MAX, about).catch(() => [])
  return [...new Set(found.map(({ address }) => address))]
}

/** QMP serves one client at a time: sockets that an agent has are left alone. */
async function lookAtSockets(globs: readonly string[], isServed: boolean): Promise<Facts['sockets']> {
  const paths = await findSockets(globs)
  if (isServed) return paths.map((path) => ({ path, qemuVersion: null, why: null }))
  const looks = paths.slice(0, SOCKETS_MAX).map(async (path) => {
    try {
      return [{ path, qemuVersion: await qemuVersionAt({ clock: systemClock }, path, GREETING_MS_MAX), why: null }]
    } catch (error) {
      // What a QEMU left when it ended is ordinary.
      if (error instanceof PagemeshError && error.code === 'guest-gone') return []
      return [{ path, qemuVersion: null, why: describeError(error) }]
    }
  })
  return (await Promise.all(looks)).flat()
}

/** User and capabilities of a process; those of nobody if it has ended. */
async function rightsOf(pid: number | 'self'): Promise<Facts['rights']> {
  // It may end at any time.
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  const uid = Number(/^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1] ?? -1)
  return { uid, capabilities: parseCapabilities(status, 'CapEff') }
}

async function readNumber(path: string): Promise<number | null> {
  // A kernel that was built without it has no such file.
  const text = await readFile(path, 'utf8').catch(() => '')
  return /^\d+\s*$/.test(text) ? Number(text) : null
}

async function lookAtUserfaultfd(): Promise<Facts['userfaultfd']> {
  const value = await readNumber('/proc/sys/vm/unprivileged_userfaultfd')
  const hasDevice = await access('/dev/userfaultfd').then(() => true, () => false)
  return { forAll: value === null ? null : value === 1, hasDevice }
}

async function whyNoPagemap(): Promise<string | null> {
  try {
    await using pagemap = await open('/proc/self/pagemap', 'r')
    await pagemap.read(Buffer.alloc(8), 0, 8, 0)
    return null
  } catch (error) {
    return systemErrorCode(error) ?? describeError(error)
  }
}

async function lookAtInterception(config: Config | null, examination: Examination | null): Promise<Facts['intercept']> {
  const ports = config?.agentOptions.intercept?.ports ?? []
  if (ports.length === 0) return { ports, why: null }
  // The agent has tried it, with the rights that count.
  if (examination !== null) return { ports, why: examination.status.intercept.why }
  return { ports, why: await whyNoInterception(ports) ?? null }
}

async function lookAtStore({ agentOptions: { store } }: Config): Promise<StoreFacts> {
  const path = store?.path ?? defaultOf('store.path')
  const existing = await nearestExisting(path)
  const { type, bsize, bavail } = await statfs(existing)
  const writing = await access(existing, constants.W_OK).then(() => null, systemErrorCode)
  return {
    path, bytesMax: store?.maxBytes ?? 0, freeBytes: bsize * bavail, isReadOnly: writing === 'EROFS',
    kind: TMPFS.includes(type) ? 'tmpfs' : type === NFS ? 'nfs' : 'disk',
  }
}

function defaultOf(key: string): string {
  return String(OPTIONS.find((option) => option.key === key)?.default)
}
