import { networkInterfaces } from 'node:os'

import {
  Interception, NO_INTERCEPTION, requireForeignPorts, type Carry, type InterceptStatus,
} from '../intercept/index.ts'
import type { Mesh } from '../mesh/index.ts'
import { peek } from '../net/peekedendpoint.ts'
import type { PortRange } from '../net/portranges.ts'
import type { Clock } from '../runtime/clock.ts'
import { describeError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Relays } from './relays.ts'

interface HostInterceptionInit {
  /** Empty: nothing is intercepted. */
  ports: readonly PortRange[]
  /** Ports that this agent itself listens on. */
  agentPorts: ReadonlySet<number>
}

/** Interception of managers' connections from this host to connected members. */
export class HostInterception {
  readonly #components: { clock: Clock; log: Log; mesh: Mesh }
  readonly #ports: readonly PortRange[]
  #interception: Interception | undefined

  /** Throws PagemeshError `bad-config`. */
  constructor(components: { clock: Clock; log: Log; mesh: Mesh }, { ports, agentPorts }: HostInterceptionInit) {
    requireForeignPorts(ports, agentPorts)
    this.#components = components
    this.#ports = ports
  }

  get status(): InterceptStatus {
    return this.#interception?.status ?? NO_INTERCEPTION
  }

  /** Never fails: connections that cannot be intercepted go direct, and `status` says why. Returns a stop function. */
  start(relays: Pick<Relays, 'carry'>): () => Promise<void> {
    if (this.#ports.length === 0) return async () => {}
    const { mesh, log } = this.#components
    const interception = new Interception({
      ...this.#components,
      carry: carryBy(relays, log),
      members: () => mesh.members().map((member) => ({ ...member, agentPorts: mesh.portsOf(member.peerId) })),
      ownAddresses: () => Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address)),
    }, { ports: this.#ports })
    this.#interception = interception
    interception.start()
    const unfollow = mesh.onMember(() => interception.refresh())
    return async () => {
      unfollow()
      await interception.stop()
    }
  }
}

function carryBy(relays: Pick<Relays, 'carry'>, log: Log): Carry {
  return async ({ endpoint, host, address, otherEnd }) => {
    const peeked = peek(endpoint)
    try {
      await relays.carry({
        endpoint: peeked, to: host, address: { kind: 'tcp', ...address }, otherwise: 'direct',
      }, await otherEnd)
      return undefined
    } catch (error) {
      // Nothing was sent, so the connection goes direct. At debug level: any local user can cause these at will.
      log.debug('an intercepted connection was not relayed', { to: host, reason: describeError(error) })
      return peeked
    }
  }
}
