import type { Member, MessageStream } from '../mesh/index.ts'
import { asPagemeshError, PagemeshError } from '../runtime/errors.ts'
import { withTimeout } from '../runtime/wait.ts'
import { encodeAnswer } from '../transfer/index.ts'
import { formatRelayAddress, type RelayAddress } from './address.ts'
import { dial } from './dial.ts'
import { IncomingRelay, type IncomingRelayComponents, type IncomingRelayInit } from './incomingrelay.ts'
import { decodeRelayOffer } from './messages.ts'
import { UNKNOWN_GUEST } from './relayresult.ts'

const OFFER_MS_MAX = 5000
/** Incoming relays at a time: in all, and per member. */
const RELAYS_MAX = 32
const OF_ONE_MAX = 16

export interface IncomingRelaysInit {
  has: IncomingRelayInit['has']
  isPrivate: IncomingRelayInit['isPrivate']
  /** Throws PagemeshError if a member may not have this host dial an address for a guest. */
  requireAllowed: (address: RelayAddress, about: { guest: string; from: string }) => void
  standBack: () => () => void
  onRefused: (about: { from: Member; guest: string; code: string }) => void
  onOver: (relay: IncomingRelay) => Promise<void>
}

/** The migrations to this host that managers drive. */
export class IncomingRelays {
  readonly #components: IncomingRelayComponents
  readonly #init: IncomingRelaysInit
  readonly #running = new Set<IncomingRelay>()

  constructor(components: IncomingRelayComponents, init: IncomingRelaysInit) {
    this.#components = components
    this.#init = init
  }

  running(): IncomingRelay[] {
    return [...this.#running]
  }

  /** Serves a member that wants this host to dial; resolves once that relay is over. */
  async receive(stream: MessageStream, from: Member): Promise<void> {
    const relay = await this.#begin(stream, from)
    if (relay === undefined) return
    // Neither this nor the run rejects.
    void relay.quiet.then(this.#init.standBack())
    await relay.run(stream)
    this.#running.delete(relay)
    await this.#init.onOver(relay)
  }

  /** Closes every connection at once. */
  stop(): void {
    for (const relay of this.#running) relay.stop()
  }

  async #begin(stream: MessageStream, from: Member): Promise<IncomingRelay | undefined> {
    const { clock, log } = this.#components
    let guest = UNKNOWN_GUEST
    try {
      const offer = decodeRelayOffer(await withTimeout(clock, stream.receive(), OFFER_MS_MAX, {
        phase: 'offer', fault: 'peer', message: 'A relay was begun but never asked for.',
      }))
      guest = offer.guest ?? UNKNOWN_GUEST
      this.#init.requireAllowed(offer.address, { guest, from: from.name })
      this.#requireRoom(from)
      const relay = new IncomingRelay(this.#components, {
        offer, from, dial, has: this.#init.has, isPrivate: this.#init.isPrivate,
      })
      this.#running.add(relay)
      log.info('relaying for a member', { from: from.name, guest, address: formatRelayAddress(offer.address) })
      return relay
    } catch (thrown) {
      const { code, message, advice, fault } = asPagemeshError(thrown)
      log.warn('a relay was refused', { from: from.name, code, fault, reason: message })
      this.#init.onRefused({ from, guest, code })
      await stream.send(encodeAnswer({ accepted: false, code, message, ...(advice === undefined ? {} : { advice }) }))
      return undefined
    }
  }

  #requireRoom(from: Member): void {
    const ofMember = this.running().filter(({ init }) => init.from.name === from.name).length
    if (this.#running.size < RELAYS_MAX && ofMember < OF_ONE_MAX) return
    throw new PagemeshError('busy', 'too many migrations pass there already.', { fault: 'peer', phase: 'offer' })
  }
}
