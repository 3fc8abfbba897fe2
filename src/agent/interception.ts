import { networkInterfaces } from 'node:os'

import {
  Interception, NO_INTERCEPTION, requireForeignPorts, type Carry, type InterceptStatus,
} from '../intercept/index.ts'
import { defaultLane, type Mesh } from '../mesh/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { PortRange } from '../runtime/portranges.ts'

interface HostInterceptionInit {
  /** Undefined or none: nothing is intercepted. */
  ports: readonly PortRange[] | undefined
  /** Where this agent itself is dialed. */
  listen: readonly string[]
  lane: string | undefined
}

/** Interception between this host and the members that it is connected to. */
export class HostInterception {
  readonly #mesh: Mesh
  readonly #interception: Interception | undefined

  /** Throws PagemeshError `bad-config`. */
  constructor(
    components: { clock: Clock; log: Log; mesh: Mesh; carry: Carry },
    { ports = [], listen, lane }: HostInterceptionInit,
  ) {
    const { mesh } = components
    this.#mesh = mesh
    if (ports.length === 0) return
    requireForeignPorts(ports, { listen, lane: lane ?? defaultLane(listen) })
    this.#interception = new Interception({
      ...components,
      members: () => mesh.members().map((member) => ({ ...member, agentPorts: mesh.portsOf(member.peerId) })),
      ownAddresses: () => Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address)),
    }, { ports })
  }

  get status(): InterceptStatus {
    return this.#interception?.status ?? NO_INTERCEPTION
  }

  /** Never fails: what cannot be intercepted goes direct, and `status` says why. Returns how to stop. */
  start(): () => Promise<void> {
    const interception = this.#interception
    if (interception === undefined) return async () => {}
    interception.start()
    const unfollow = this.#mesh.onMember(() => interception.refresh())
    return async () => {
      unfollow()
      await interception.stop()
    }
  }
}
