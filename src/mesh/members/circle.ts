import type { Clock } from '../../runtime/clock.ts'
import { describeError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { withTimeout } from '../../runtime/wait.ts'
import type { Member, Mesh, MessageStream, Unsubscribe } from '../mesh.ts'

/** What a part of the agent needs of a mesh that only talks and listens. */
export type MeshPart = Pick<Mesh, 'self' | 'members' | 'onMember' | 'handle' | 'open' | 'publish' | 'subscribe'>

type Listener = Parameters<Mesh['onMember']>[0]

/** Members that are not of it are asked again after this time, ms: a question may have been lost. */
const ASK_AGAIN_MS = 60_000
const ANSWER_MS_MAX = 5_000
const YES = Uint8Array.of(1)

/**
 * The members of a mesh that take part in one thing, as a mesh of their own: its protocols and topics are the mesh's,
 * with the circle's name behind them, so that nobody else serves or hears them. Who is of it is found by asking:
 *
 *   each of two members          /pagemesh/circle/1/NAME
 *      | (opens) --------------------> |   who serves it is of the circle, and now knows that the asker is
 *      | <---------------------- 1     |
 */
export class Circle implements MeshPart {
  readonly #mesh: MeshPart
  readonly #clock: Clock
  readonly #log: Log
  readonly #name: string
  readonly #members = new Map<string, Member>()
  readonly #listeners = new Set<Listener>()
  readonly #asked = new Set<string>()

  constructor({ mesh, clock, log }: { mesh: MeshPart; clock: Clock; log: Log }, { name }: { name: string }) {
    this.#mesh = mesh
    this.#clock = clock
    this.#log = log
    this.#name = name
  }

  get self(): Member {
    return this.#mesh.self
  }

  members(): Member[] {
    return [...this.#members.values()]
  }

  onMember(listener: Listener): Unsubscribe {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  handle(protocol: string, handler: (stream: MessageStream, from: Member) => Promise<void>): Unsubscribe {
    return this.#mesh.handle(this.#own(protocol), async (stream, from) => {
      this.#admit(from)
      await handler(stream, from)
    })
  }

  open(memberName: string, protocol: string, signal: AbortSignal): Promise<MessageStream> {
    return this.#mesh.open(memberName, this.#own(protocol), signal)
  }

  publish(topic: string, message: Uint8Array): Promise<void> {
    return this.#mesh.publish(this.#own(topic), message)
  }

  subscribe(topic: string, listener: (message: Uint8Array, fromPeerId: string) => void): Unsubscribe {
    return this.#mesh.subscribe(this.#own(topic), listener)
  }

  /** Takes part until the returned function is called. */
  join(): Unsubscribe {
    const abort = new AbortController()
    // Never rejects.
    const ask = (member: Member): void => void this.#ask(member, abort.signal)
    const undo = [
      this.#mesh.handle(this.#own('/pagemesh/circle/1'), async (stream, from) => {
        this.#admit(from)
        await stream.send(YES, abort.signal)
      }),
      this.#mesh.onMember((change, member) => {
        if (change === 'joined') ask(member)
        else this.#leave(member)
      }),
    ]
    this.#mesh.members().forEach(ask)
    const timer = this.#clock.every(ASK_AGAIN_MS, () => this.#mesh.members().forEach(ask))
    return () => {
      abort.abort(new Error('the circle is left'))
      timer.cancel()
      for (const each of undo) each()
      for (const member of this.members()) this.#leave(member)
    }
  }

  #own(name: string): string {
    return `${name}/${this.#name}`
  }

  /** Never rejects: a member that does not answer is asked again later. */
  async #ask(member: Member, signal: AbortSignal): Promise<void> {
    if (this.#members.has(member.name) || this.#asked.has(member.name)) return
    this.#asked.add(member.name)
    try {
      const stream = await this.#mesh.open(member.name, this.#own('/pagemesh/circle/1'), signal)
      try {
        await withTimeout(this.#clock, stream.receive(signal), ANSWER_MS_MAX, {
          phase: 'members', fault: 'peer', message: 'A member did not say whether it takes part.',
        })
      } finally {
        await stream.close()
      }
      if (!signal.aborted) this.#admit(member)
    } catch (error) {
      this.#log.debug('a member takes no part', { member: member.name, in: this.#name, error: describeError(error) })
    } finally {
      this.#asked.delete(member.name)
    }
  }

  #admit(member: Member): void {
    const isThere = this.#mesh.members().some(({ name, peerId }) => name === member.name && peerId === member.peerId)
    if (!isThere || this.#members.get(member.name)?.peerId === member.peerId) return
    this.#members.set(member.name, member)
    for (const listener of [...this.#listeners]) listener('joined', member)
  }

  #leave(member: Member): void {
    if (this.#members.get(member.name)?.peerId !== member.peerId) return
    this.#members.delete(member.name)
    for (const listener of [...this.#listeners]) listener('left', member)
  }
}
