/** Faults made by hand in the code that moves a guest: it would be lost, doubled, stuck or changed on its way. */
import type { HandMadeFault } from './fault.ts'

const RULES = 'test/unit/conversation/rules.test.ts'
const OUTGOING_STEP = 'test/unit/conversation/outgoingstep.test.ts'
const INCOMING_STEP = 'test/unit/conversation/incomingstep.test.ts'
const STEPS = 'test/unit/conversation/conversation.test.ts'
const WRITTEN = 'test/unit/handoff/written.test.ts'
const RUN_STATE = 'test/unit/handoff/runstate.test.ts'
const SILENCE = 'test/unit/guest/silence.test.ts'
const MOVING = 'test/unit/handoff/moving.test.ts'
const BATCH = 'test/unit/passage/batch.test.ts'
const OUTGOING = 'test/unit/passage/outgoing.test.ts'
const INCOMING = 'test/unit/passage/incoming.test.ts'
const DIGEST = 'test/unit/passage/batchdigest.test.ts'
const WINDOW = 'test/unit/passage/window.test.ts'

export const HANDOFF_FAULTS: readonly HandMadeFault[] = [
  {
    file: 'src/agent/handoffs.ts', find: 'this.#leaving.delete(name)', replace: '',
    why: "a guest's name is not free after its handoff", noticedBy: 'test/unit/agent/embed.test.ts',
  },
  {
    file: 'src/agent/incominghandoffs.ts', find: 'ending === undefined && held === undefined',
    replace: 'held === undefined', why: "a guest's name is not free where it could not be taken",
    noticedBy: 'test/unit/agent/embed.test.ts',
  },
  {
    file: 'src/agent/outgoinghandoffs.ts', replace: '',
    find: "if ((outgoing?.init.to ?? record?.other) !== from.name) return { verdict: 'unknown' }",
    why: 'a host that the guest was not handed to is told what became of it',
    noticedBy: 'test/unit/agent/outgoinghandoffs.test.ts',
  },
  {
    file: 'src/conversation/incomingend.ts', replace: "{ do: 'closeDriver' },",
    find: "{ do: 'closeDriver' }, { do: 'goOn' },", why: 'what stood back at the destination never goes on',
    noticedBy: RULES,
  },
  {
    file: 'src/conversation/incomingend.ts', find: "verdict.verdict !== 'given-up' || ", replace: '',
    why: 'a copy that is held is let run at any answer', noticedBy: RULES,
  },
  {
    file: 'src/conversation/incomingend.ts', find: "if (link === 'up') return stay(state)", replace: '',
    why: 'an operator lets a copy run while the source takes the guest back', noticedBy: RULES,
  },
  {
    file: 'src/conversation/incomingstep.ts', find: "effects: [say({ kind: 'whole' }),",
    replace: "effects: [{ do: 'release', runState }, say({ kind: 'whole' }),", noticedBy: RULES,
    why: 'a guest is released before it was given up',
  },
  {
    file: 'src/conversation/incomingstep.ts', noticedBy: RULES,
    find: "return hold({ why: event.reason, link: 'lost', runState, copy: { kind: 'whole' } })",
    replace: 'return end(runState, event.reason)', why: 'a whole copy is ended when the link is lost',
  },
  {
    file: 'src/conversation/incomingstep.ts', find: 'if (isKept) return end(runState, reason)',
    replace: 'if (true) return end(runState, reason)', noticedBy: RULES,
    why: 'a copy that came whole all the same is ended without "kept"',
  },
  {
    file: 'src/conversation/incomingstep.ts', noticedBy: RULES,
    find: "if (isKept) return event.wait === 'abandon'", replace: "if (true) return event.wait === 'abandon'",
    why: 'a copy whose QEMU does not answer is ended without "kept"',
  },
  {
    file: 'src/conversation/incomingstep.ts', find: "as: 'loading', runState: 'unknown', isFirst: true",
    replace: "as: 'loading', runState: 'unknown', isFirst: false", noticedBy: INCOMING_STEP,
    why: 'QEMU takes the stream before it is written down that a copy begins',
  },
  {
    file: 'src/conversation/incomingstep.ts', find: "return said === 'unknown' ? known : said",
    replace: "return known === 'unknown' ? said : known", noticedBy: INCOMING_STEP,
    why: 'the run state that the source gave up with is not the one that the guest gets',
  },
  {
    file: 'src/conversation/outgoingend.ts', replace: "{ do: 'closeDriver' },",
    find: "{ do: 'closeDriver' }, { do: 'goOn' },", why: 'what stood back at the source never goes on',
    noticedBy: RULES,
  },
  {
    file: 'src/conversation/outgoingend.ts', find: "effects: [{ do: 'cancelQemu' },", noticedBy: RULES,
    replace: "effects: [{ do: 'say', message: { kind: 'kept', reason: reason.message } }, { do: 'cancelQemu' },",
    why: '"kept" is said before QEMU answered',
  },
  {
    file: 'src/conversation/outgoingend.ts', find: "case 'linkLost': case 'failed':\n      return cut(",
    replace: "case 'linkLost': case 'failed': case 'cancel':\n      return cut(", noticedBy: RULES,
    why: 'a cancel is accepted after switchover',
  },
  {
    file: 'src/conversation/outgoingend.ts', find: "if (state.copy === 'whole' && !state.mayHaveGoneOn) return",
    replace: "if (state.copy === 'whole') return", noticedBy: RULES,
    why: 'a guest that may have gone on at the source before it died is given up',
  },
  {
    file: 'src/conversation/outgoingstep.ts', replace: 'return { state, effects',
    find: 'if (isCancel) return stay(state)\n      return { state, effects',
    why: 'a cancel is accepted while post-copy switches over', noticedBy: OUTGOING_STEP,
  },
  {
    file: 'src/conversation/outgoingstep.ts', find: "as: 'moving', runState: 'unknown', isFirst: true",
    replace: "as: 'moving', runState: 'unknown', isFirst: false", noticedBy: OUTGOING_STEP,
    why: 'QEMU is told to migrate before it is written down that the guest moves',
  },
  {
    file: 'src/conversation/outgoingstep.ts', find: 'state: { ...state, runState: event.runState },',
    replace: "state: { ...state, runState: state.runState === 'unknown' ? event.runState : state.runState },",
    why: 'what the guest was doing is asked once, and not at switchover', noticedBy: RULES,
  },
  {
    file: 'src/conversation/outgoingstep.ts', find: '!OUTGOING_EXPECTS[state.at].includes(event.message.kind)',
    replace: 'false', why: 'a message is taken in any state', noticedBy: STEPS,
  },
  {
    file: 'src/guest/outgoing.ts',
    find: '}, onChange, current)\n    const state',
    replace: '}, undefined)\n    const state',
    why: "the source's settings are changed before it is written down how they were",
    noticedBy: 'test/unit/guest/outgoing.test.ts',
  },
  {
    file: 'src/guest/incoming.ts', find: '}, onChange, settings)', replace: '}, undefined)',
    why: "the destination's settings are changed before it is written down how they were",
    noticedBy: 'test/unit/guest/incoming.test.ts',
  },
  {
    file: 'src/guest/settings.ts', find: 'await onChange?.(this.undo)', replace: 'void onChange?.(this.undo)',
    why: 'settings are changed while it is still being written down how they were',
    noticedBy: 'test/unit/guest/settings.test.ts',
  },
  {
    file: 'src/guest/settings.ts', find: 'this.#undo.parameters[name] ??= parameters[name]',
    replace: 'this.#undo.parameters[name] = parameters[name]', noticedBy: 'test/unit/guest/settings.test.ts',
    why: "an agent that was restarted puts back what it had set itself, not what was its operator's",
  },
  {
    file: 'src/guest/qmpdriver.ts', find: 'await this.init.onChange()', replace: 'void this.init.onChange()',
    why: 'a driver does not wait until it is written down how the settings were',
    noticedBy: 'test/unit/guest/qmpdriver.test.ts',
  },
  {
    file: 'src/guest/side.ts', find: 'const left = await this.settings.restore()', replace: 'const left = undefined',
    why: 'the settings are not put back', noticedBy: 'test/unit/guest/outgoing.test.ts',
  },
  {
    file: 'src/guest/incoming.ts', find: 'if (state !== undefined && LET_RUN.has(state)) throw',
    replace: 'if (false) throw', why: 'a copy that runs is ended', noticedBy: 'test/unit/guest/incoming.test.ts',
  },
  {
    file: 'src/guest/incoming.ts', find: "isSilent = state === undefined && error.code === 'qmp-timeout'",
    replace: "isSilent = error.code === 'qmp-timeout'", why: 'a QEMU is killed that answers',
    noticedBy: SILENCE,
  },
  {
    file: 'src/guest/endprocess.ts', find: 'return !wasInterrupted && !hasResumed', replace: 'return !wasInterrupted',
    why: 'a QEMU is killed that let its guest run', noticedBy: SILENCE,
  },
  {
    file: 'src/guest/endprocess.ts', find: 'if (!isAlive(identity)) return', replace: '',
    why: 'a later process of the same number is killed', noticedBy: 'test/unit/guest/endprocess.test.ts',
  },
  {
    file: 'src/handoff/incoming.ts', find: 'this.#goOn?.()', replace: '',
    why: 'the destination forgets to let go on what stood back', noticedBy: MOVING,
  },
  {
    file: 'src/handoff/outgoing.ts', find: 'this.#goOn?.()', replace: '',
    why: 'the source forgets to let go on what stood back', noticedBy: MOVING,
  },
  {
    file: 'src/handoff/messages.ts', find: 'if (version !== HANDOFF_VERSION) {', replace: 'if (false) {',
    why: 'the version of an offer is not checked', noticedBy: 'test/unit/handoff/messages.test.ts',
  },
  {
    file: 'src/passage/batch.ts', find: 'if (streamBytes > BATCH_LIMITS.streamBytes) throw',
    replace: 'if (false) throw', why: 'a batch may stand for any number of bytes', noticedBy: BATCH,
  },
  {
    file: 'src/passage/batch.ts', find: 'if (opsBytes > BATCH_LIMITS.opsBytes) throw', replace: 'if (false) throw',
    why: 'a batch may have any number of ops', noticedBy: BATCH,
  },
  {
    file: 'src/passage/batch.ts', find: 'if (rawBytes + (literals + refs) * PAGE_BYTES > streamBytes) throw',
    replace: 'if (false) throw', why: 'a batch may claim more parts than it stands for', noticedBy: BATCH,
  },
  {
    file: 'src/passage/batch.ts', find: 'if (packedBytes > opsBytes + rawBytes) throw', replace: 'if (false) throw',
    why: 'packed ops may be larger than unpacked ones', noticedBy: BATCH,
  },
  {
    file: 'src/passage/batch.ts', find: 'if (literalWireBytes > literals * PAGE_BYTES) throw',
    replace: 'if (false) throw', why: 'packed literals may be larger than unpacked ones', noticedBy: BATCH,
  },
  {
    file: 'src/passage/batch.ts', replace: 'if (false) {', noticedBy: BATCH,
    find: 'if (body.length !== BATCH_HEADER_BYTES + packedBytes + refs * ID_BYTES + literalWireBytes) {',
    why: 'the parts of a batch need not add up to its body',
  },
  {
    file: 'src/passage/batchdigest.ts', find: 'this.#digest.after(previous, ',
    replace: 'this.#digest.after(new Uint8Array(32), ', noticedBy: DIGEST,
    why: "a batch's digest does not follow on the one before",
  },
  {
    file: 'src/passage/batchdigest.ts', find: 'pageIds.subarray(0, pageCount * ID_BYTES)',
    replace: 'pageIds.subarray(0, (pageCount - 1) * ID_BYTES)', why: 'the digest leaves a page out', noticedBy: DIGEST,
  },
  {
    file: 'src/passage/decoder.ts', find: 'header.opsBytes + header.rawBytes)',
    replace: 'header.opsBytes + header.rawBytes + 2 ** 20)', noticedBy: BATCH,
    why: 'ops may unpack to more than they claim',
  },
  {
    file: 'src/passage/framelane.ts', find: 'if (this.#clock.now() - this.#heardAt > SILENCE_MS_MAX) {',
    replace: 'if (false) {', why: 'a silent lane is never given up', noticedBy: 'test/unit/passage/framelane.test.ts',
  },
  {
    file: 'src/passage/incoming.ts', find: 'if (!this.#decoder.isRight(batch)) throw',
    replace: 'if (lacking.length === 0 && !this.#decoder.isRight(batch)) throw', noticedBy: INCOMING,
    why: 'the digest of a batch is ignored after pages were asked back',
  },
  {
    file: 'src/passage/incoming.ts', find: 'this.#batches -= 1', replace: '',
    why: 'batches in flight are never counted down', noticedBy: INCOMING,
  },
  {
    file: 'src/passage/incoming.ts', find: 'if (this.#batches > IN_FLIGHT_MAX) throw', replace: 'if (false) throw',
    why: 'batches in flight are not limited', noticedBy: INCOMING,
  },
  {
    file: 'src/passage/outgoing.ts', find: 'this.#isPaused = true\n    this.#qemu.pause()', replace: '',
    why: 'QEMU is read however much is on its way', noticedBy: OUTGOING,
  },
  {
    file: 'src/passage/outgoing.ts', find: 'this.#window.narrowForPostcopy()', replace: '',
    why: 'the window is not narrowed in post-copy', noticedBy: OUTGOING,
  },
  {
    file: 'src/passage/outgoing.ts', find: 'if (init.continuation?.isPostcopy === true) this.#hurry()', replace: '',
    why: 'the window is not narrowed in a post-copy that goes on', noticedBy: OUTGOING,
  },
  {
    file: 'src/passage/resolver.ts', noticedBy: 'test/unit/passage/resolver.test.ts', replace: '',
    find: 'if (!refs.isOf(ref, batch.pageIds, batch.refPages[ref]! * ID_BYTES)) refs.markMissing(ref)',
    why: 'what a source gave is believed',
  },
  {
    file: 'src/passage/resolver.ts', find: 'this.#hash(batch, refs.length)', replace: '',
    why: 'pages that were asked back are not hashed', noticedBy: 'test/unit/passage/resolver.test.ts',
  },
  {
    file: 'src/passage/sentpages.ts', find: 'for (let i = 0; i < ID_BYTES; i++)',
    replace: 'for (let i = 0; i < ID_BYTES / 2; i++)', why: 'a page sent before is told by the first half of its id',
    noticedBy: 'test/unit/passage/sentpages.test.ts',
  },
  {
    file: 'src/passage/window.ts', find: 'this.#inFlight.size >= WINDOW_BATCHES_MAX || ', replace: '',
    why: 'any number of small batches may be on their way', noticedBy: WINDOW,
  },
  {
    file: 'src/passage/window.ts', find: 'this.#streamBytes -= batch.streamBytes', replace: '',
    why: 'bytes on their way are never counted down', noticedBy: WINDOW,
  },
  {
    file: 'src/passage/window.ts', find: 'this.#streamBytesMax = WINDOW_STREAM_BYTES_POSTCOPY', replace: '',
    why: 'the window is as wide in post-copy', noticedBy: WINDOW,
  },
  {
    file: 'src/handoff/incoming.ts', find: 'return effect.isFirst ? written : behind(', replace: 'return behind(',
    why: 'the destination does not wait until it is written down that a copy begins', noticedBy: WRITTEN,
  },
  {
    file: 'src/handoff/outgoing.ts', find: 'return effect.isFirst ? written : behind(', replace: 'return behind(',
    why: 'the source does not wait until it is written down that the guest moves', noticedBy: WRITTEN,
  },
  {
    file: 'src/handoff/sourcewatch.ts', find: "'postmigrate') this.ran = state",
    replace: "'postmigrate') this.ran ??= state", why: 'what the guest is doing is asked once', noticedBy: RUN_STATE,
  },
]
