/**
 * Hosts on one machine: each is a network namespace with one interface, joined by a bridge in its own namespace.
 *
 *   namespace pm-PID-N-a         namespace pm-PID-N (the switch)        namespace pm-PID-N-b
 *     eth0 10.77.0.1  ---veth---  a \                    / b  ---veth---  eth0 10.77.0.2
 *     tbf: what a sends              bridge with all ports                tbf: what b sends
 *                     tbf at port a: what a receives       one more bridge for hosts that are cut off together
 *
 * Nothing is added to this machine's own network, so that several networks with the same addresses can coexist. UNIX
 * sockets are reachable by path from everywhere. Non-goals: delay and random loss (not every kernel has netem).
 */
import { LabError } from '../laberror.ts'
import { runCommand, succeeds } from './command.ts'
import { corruptPackets } from './corruption.ts'
import { addNamespace, deleteNamespace, deleteOrphanedNamespaces, namespaceName } from './namespace.ts'

export interface LabHost {
  readonly name: string
  readonly address: string
  /** Prefix of a command, to run it on this host; empty without namespaces. */
  readonly exec: readonly string[]
}

export interface NetworkOptions {
  /** Names of the hosts, at most 250, each of at most 15 letters, digits and dashes. */
  hosts: readonly string[]
  /** Rate of every link each way, bytes a second; absent: unlimited. */
  bytesPerSecond?: number
}

export interface LinkCounters {
  /** Bytes of Ethernet frames. Headers of packets that the kernel splits late count once: some 2 % too few. */
  sentBytes: number
  receivedBytes: number
}

export interface LabNetwork {
  readonly hosts: readonly LabHost[]
  /** False without root: then all hosts share the loopback interface, without limits, counters and cuts. */
  readonly isolated: boolean
  host(name: string): LabHost
  /** Bytes of the host's interface since the network was made; undefined if not isolated. */
  counters(hostName: string): Promise<LinkCounters | undefined>
  /** Changes the rate of a host's link, both ways; undefined: unlimited. */
  shape(hostName: string, bytesPerSecond: number | undefined): Promise<void>
  /** From now on these hosts reach only each other; no process is notified. */
  cut(...hostNames: string[]): Promise<void>
  restore(...hostNames: string[]): Promise<void>
  /** From now on so many of a thousand long packets from this host arrive with other bytes; 0: none. */
  corrupt(hostName: string, perMille: number): Promise<void>
  /** Kills the processes on all hosts and deletes the network; idempotent. */
  close(): Promise<void>
}

const HOSTS_MAX = 250
const BRIDGE = 'bridge'
let networkCount = 0

/** Makes a network; first deletes leftovers of dead runs. Throws LabError `lab-bad-host`, `lab-command-failed`. */
export async function createNetwork(options: NetworkOptions): Promise<LabNetwork> {
  checkHosts(options.hosts)
  if (!await canIsolate()) return new LoopbackNetwork(options.hosts)
  await deleteOrphanedNamespaces()
  const network = new NamespaceNetwork(options.hosts, networkCount++)
  try {
    await network.build(options.bytesPerSecond)
    return network
  } catch (error) {
    await network.close()
    throw error
  }
}

/** Whether network namespaces can be made here: as root, outside of containers that forbid it. */
export async function canIsolate(): Promise<boolean> {
  return process.getuid?.() === 0 && succeeds(['unshare', '--net', 'ip', 'link', 'show', 'lo'])
}

function checkHosts(names: readonly string[]): void {
  // `bridge`, `bridge-1` and `lo` are taken: a host's port on the switch has the host's name.
  const isBad = (name: string): boolean =>
    !/^[A-Za-z0-9-]{1,15}$/.test(name) || name.startsWith(BRIDGE) || name === 'lo'
  const bad = names.find((name, index) => isBad(name) || names.indexOf(name) !== index)
  if (bad === undefined && names.length <= HOSTS_MAX) return
  throw new LabError('lab-bad-host', `The lab cannot have ${bad ?? `${names.length} hosts`}.`, {
    advice: `Name at most ${HOSTS_MAX} hosts, each once, with letters, digits and dashes.`,
  })
}

class NamespaceNetwork implements LabNetwork {
  readonly isolated = true
  readonly hosts: readonly LabHost[]
  readonly #switch: string
  readonly #number: number
  #cutCount = 0

  constructor(names: readonly string[], number: number) {
    this.#number = number
    this.#switch = namespaceName(number)
    this.hosts = names.map((name, index) => ({
      name, address: `10.77.0.${index + 1}`, exec: ['ip', 'netns', 'exec', namespaceName(number, name)],
    }))
  }

  async build(bytesPerSecond: number | undefined): Promise<void> {
    await addNamespace(this.#switch)
    await this.#addBridge(BRIDGE)
    for (const host of this.hosts) {
      await addNamespace(this.#namespaceOf(host.name))
      await this.#connect(host)
      if (bytesPerSecond !== undefined) await this.shape(host.name, bytesPerSecond)
    }
  }

  host(name: string): LabHost {
    return hostNamed(this.hosts, name)
  }

  async counters(hostName: string): Promise<LinkCounters> {
    const text = await runCommand(['ip', '-n', this.#namespaceOf(hostName), '-j', '-s', 'link', 'show', 'eth0'])
    const [link] = JSON.parse(text) as [{ stats64: { tx: { bytes: number }; rx: { bytes: number } } }]
    return { sentBytes: link.stats64.tx.bytes, receivedBytes: link.stats64.rx.bytes }
  }

  async shape(hostName: string, bytesPerSecond: number | undefined): Promise<void> {
    if (bytesPerSecond === undefined) {
      await this.#unshape(this.#namespaceOf(hostName), 'eth0')
      await this.#unshape(this.#switch, hostName)
      return
    }
    const rate = Math.round(bytesPerSecond)
    // 4 ms worth of bytes may pass at once, but at least the largest packet that the kernel passes unsplit.
    const burst = Math.max(128 * 1024, Math.round(bytesPerSecond * 0.004))
    const queue = ['root', 'tbf', 'rate', `${rate}bps`, 'burst', `${burst}`, 'latency', '50ms']
    await runCommand(['tc', '-n', this.#namespaceOf(hostName), 'qdisc', 'replace', 'dev', 'eth0', ...queue])
    await runCommand(['tc', '-n', this.#switch, 'qdisc', 'replace', 'dev', hostName, ...queue])
  }

  async cut(...hostNames: string[]): Promise<void> {
    // To a bridge of their own: setting the link down would notify the hosts' processes.
    const bridge = `${BRIDGE}-${++this.#cutCount}`
    await this.#addBridge(bridge)
    await this.#join(hostNames, bridge)
  }

  async restore(...hostNames: string[]): Promise<void> {
    await this.#join(hostNames, BRIDGE)
  }

  async corrupt(hostName: string, perMille: number): Promise<void> {
    await corruptPackets(this.#switch, this.host(hostName).name, perMille)
  }

  async close(): Promise<void> {
    for (const host of this.hosts) await deleteNamespace(this.#namespaceOf(host.name))
    await deleteNamespace(this.#switch)
  }

  async #connect({ name, address }: LabHost): Promise<void> {
    const namespace = this.#namespaceOf(name)
    await this.#onSwitch('link', 'add', 'name', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace)
    await this.#onSwitch('link', 'set', 'dev', name, 'up', 'master', BRIDGE)
    await runCommand(['ip', '-n', namespace, 'address', 'add', `${address}/24`, 'dev', 'eth0'])
    await runCommand(['ip', '-n', namespace, 'link', 'set', 'eth0', 'up'])
  }

  async #addBridge(name: string): Promise<void> {
    await this.#onSwitch('link', 'add', 'name', name, 'up', 'type', 'bridge', 'forward_delay', '0')
  }

  async #join(hostNames: readonly string[], bridge: string): Promise<void> {
    for (const name of hostNames) await this.#onSwitch('link', 'set', 'dev', this.host(name).name, 'master', bridge)
  }

  async #unshape(namespace: string, device: string): Promise<void> {
    const queues = await runCommand(['tc', '-n', namespace, 'qdisc', 'show', 'dev', device])
    if (queues.includes('tbf')) await runCommand(['tc', '-n', namespace, 'qdisc', 'delete', 'dev', device, 'root'])
  }

  async #onSwitch(...words: string[]): Promise<void> {
    await runCommand(['ip', '-n', this.#switch, ...words])
  }

  #namespaceOf(hostName: string): string {
    return namespaceName(this.#number, this.host(hostName).name)
  }
}

class LoopbackNetwork implements LabNetwork {
  readonly isolated = false
  readonly hosts: readonly LabHost[]

  constructor(names: readonly string[]) {
    this.hosts = names.map((name, index) => ({ name, address: `127.77.0.${index + 1}`, exec: [] }))
  }

  host(name: string): LabHost {
    return hostNamed(this.hosts, name)
  }

  async counters(): Promise<undefined> {
    return undefined
  }

  async shape(): Promise<void> {
    throw notIsolated('shaped')
  }

  async cut(): Promise<void> {
    throw notIsolated('cut')
  }

  async restore(): Promise<void> {
    throw notIsolated('restored')
  }

  async corrupt(): Promise<void> {
    throw notIsolated('corrupted')
  }

  async close(): Promise<void> {}
}

function hostNamed(hosts: readonly LabHost[], name: string): LabHost {
  const host = hosts.find((candidate) => candidate.name === name)
  if (host !== undefined) return host
  throw new LabError('lab-bad-host', `The lab has no host ${name}.`, {
    advice: `Its hosts are ${hosts.map((candidate) => candidate.name).join(', ')}.`,
  })
}

function notIsolated(what: string): LabError {
  return new LabError('lab-not-isolated', `Without namespaces no link can be ${what}.`, {
    advice: 'Run as root.',
  })
}
