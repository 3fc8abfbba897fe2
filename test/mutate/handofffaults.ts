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
    replace: 'held === undefined', why: "a guest's name is not free after it could not be taken",
    noticedBy: 'test/unit/agent/embed.test.ts',
  },
  {
    file: 'src/agent/outgoinghandoffs.ts', replace: '',
    find: "if ((outgoing?.init.to ?? record?.other) !== from.name) return { verdict: 'unknown' }",
    why: 'a host that did not get the guest learns its outcome',
    noticedBy: 'test/unit/agent/outgoinghandoffs.test.ts',
  },
  {
    file: 'src/conversation/incomingend.ts', replace: "{ do: 'closeDriver' },",
    find: "{ do: 'closeDriver' }, { do: 'goOn' },", why: 'background work at the destination stays paused',
    noticedBy: RULES,
  },
  {
    file: 'src/conversation/incomingend.ts', find: "verdict.verdict !== 'given-up' || ", replace: '',
    why: 'a held copy is released at any answer', noticedBy: RULES,
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
    why: 'a copy that arrived whole after all is ended without "kept"',
  },
  {
    file: 'src/conversation/incomingstep.ts', noticedBy: RULES,
    find: "if (isKept) return event.wait === 'abandon'", replace: "if (true) return event.wait === 'abandon'",
    why: 'a copy whose QEMU does not answer is ended without "kept"',
  },
  {
    file: 'src/conversation/incomingstep.ts', find: "as: 'loading', runState: 'unknown', isFirst: true",
    replace: "as: 'loading', runState: 'unknown', isFirst: false", noticedBy: INCOMING_STEP,
    why: 'QEMU takes the stream before the start of a copy is recorded',
  },
  {
    file: 'src/conversation/incomingstep.ts', find: "return said === 'unknown' ? known : said",
    replace: "return known === 'unknown' ? said : known", noticedBy: INCOMING_STEP,
    why: 'the guest does not get the run state of the source\'s "given up"',
  },
  {
    file: 'src/conversation/outgoingend.ts', replace: "{ do: 'closeDriver' },",
    find: "{ do: 'closeDriver' }, { do: 'goOn' },", why: 'background work at the source stays paused',
    noticedBy: RULES,
  },
  {
    file: 'src/conversation/outgoingend.ts', find: "effects: [{ do: 'cancelQemu' },", noticedBy: RULES,
    replace: "effects: [{ do: 'say', message: { kind: 'kept', reason: reason.message } }, { do: 'cancelQemu' },",
    why: '"kept" is sent before QEMU answered',
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
    why: 'QEMU is told to migrate before the move is recorded',
  },
  {
    file: 'src/conversation/outgoingstep.ts', find: 'state: { ...state, runState: event.runState },',
    replace: "state: { ...state, runState: state.runState === 'unknown' ? event.runState : state.runState },",
    why: 'the run state is queried once, and not at switchover', noticedBy: RULES,
  },
  {
    file: 'src/conversation/outgoingstep.ts', find: '!OUTGOING_EXPECTS[state.at].includes(event.message.kind)',
    replace: 'false', why: 'a message is accepted in any state', noticedBy: STEPS,
  },
  {
    file: 'src/guest/outgoing.ts',
    find: '}, onChange, current)\n    const state',
    replace: '}, undefined)\n    const state',
    why: "the source's settings are changed before the old ones are recorded",
    noticedBy: 'test/unit/guest/outgoing.test.ts',
  },
  {
    file: 'src/guest/incoming.ts', find: '}, onChange, settings)', replace: '}, undefined)',
    why: "the destination's settings are changed before the old ones are recorded",
    noticedBy: 'test/unit/guest/incoming.test.ts',
  },
  {
    file: 'src/guest/settings.ts', find: 'await onChange?.(this.undo)', replace: 'void onChange?.(this.undo)',
    why: 'settings are changed while the old ones are still being recorded',
    noticedBy: 'test/unit/guest/settings.test.ts',
  },
  {
    file: 'src/guest/settings.ts', find: 'this.#undo.parameters[name] ??= parameters[name]',
    replace: 'this.#undo.parameters[name] = parameters[name]', noticedBy: 'test/unit/guest/settings.test.ts',
    why: "a restarted agent restores its own settings, not its operator's",
  },
  {
    file: 'src/guest/qmpdriver.ts', find: 'await this.init.onChange()', replace: 'void this.init.onChange()',
    why: 'a driver does not wait until the old settings are recorded',
    noticedBy: 'test/unit/guest/qmpdriver.test.ts',
  },
  {
    file: 'src/guest/side.ts', find: 'const left = await this.settings.restore()', replace: 'const left = undefined',
    why: 'the settings are not restored', noticedBy: 'test/unit/guest/outgoing.test.ts',
  },
  {
    file: 'src/guest/incoming.ts', find: 'if (state !== undefined && LET_RUN.has(state)) throw',
    replace: 'if (false) throw', why: 'a running copy is ended', noticedBy: 'test/unit/guest/incoming.test.ts',
  },
  {
    file: 'src/guest/incoming.ts', find: "isSilent = state === undefined && error.code === 'qmp-timeout'",
    replace: "isSilent = error.code === 'qmp-timeout'", why: 'a QEMU that answers is killed',
    noticedBy: SILENCE,
  },
  {
    file: 'src/guest/endprocess.ts', find: 'return !wasInterrupted && !hasResumed', replace: 'return !wasInterrupted',
    why: 'a QEMU that has run its guest is killed', noticedBy: SILENCE,
  },
  {
    file: 'src/guest/endprocess.ts', find: 'if (!isAlive(identity)) return', replace: '',
    why: 'a later process with the same id is killed', noticedBy: 'test/unit/guest/endprocess.test.ts',
  },
  {
    file: 'src/handoff/incoming.ts', find: 'this.#goOn?.()', replace: '',
    why: 'the destination forgets to resume background work', noticedBy: MOVING,
  },
  {
    file: 'src/handoff/outgoing.ts', find: 'this.#goOn?.()', replace: '',
    why: 'the source forgets to resume background work', noticedBy: MOVING,
  },
  {
    file: 'src/handoff/messages.ts', find: 'if (version !== HANDOFF_VERSION) {', replace: 'if (false) {',
    why: 'the version of an offer is not checked', noticedBy: 'test/unit/handoff/messages.test.ts',
  },
  {
    file: 'src/passage/batch.ts', find: 'if (streamBytes > BATCH_LIMITS.streamBytes) throw',
    replace: 'if (false) throw', why: 'a batch may unpack to any number of bytes', noticedBy: BATCH,
  },
  {
    file: 'src/passage/batch.ts', find: 'if (opsBytes > BATCH_LIMITS.opsBytes) throw', replace: 'if (false) throw',
    why: 'a batch may have any number of ops', noticedBy: BATCH,
  },
  {
    file: 'src/passage/batch.ts', find: 'if (rawBytes + (literals + refs) * PAGE_BYTES > streamBytes) throw',
    replace: 'if (false) throw', why: 'a batch may claim more parts than it has', noticedBy: BATCH,
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
    why: "a batch's digest is not chained to the one before",
  },
  {
    file: 'src/passage/batchdigest.ts', find: 'pageIds.subarray(0, pageCount * ID_BYTES)',
    replace: 'pageIds.subarray(0, (pageCount - 1) * ID_BYTES)', why: 'the digest omits a page', noticedBy: DIGEST,
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
    why: 'QEMU is read without a limit on bytes in flight', noticedBy: OUTGOING,
  },
  {
    file: 'src/passage/outgoing.ts', find: 'this.#window.narrowForPostcopy()', replace: '',
    why: 'the window is not narrowed in post-copy', noticedBy: OUTGOING,
  },
  {
    file: 'src/passage/outgoing.ts', find: 'if (init.continuation?.isPostcopy === true) this.#hurry()', replace: '',
    why: 'the window is not narrowed in a resumed post-copy', noticedBy: OUTGOING,
  },
  {
    file: 'src/passage/resolver.ts', noticedBy: 'test/unit/passage/resolver.test.ts', replace: '',
    find: 'if (!refs.isOf(ref, batch.pageIds, batch.refPages[ref]! * ID_BYTES)) refs.markMissing(ref)',
    why: 'pages from a source are not verified',
  },
  {
    file: 'src/passage/resolver.ts', find: 'this.#hashRefs(batch, refs.length)', replace: '',
    why: 'pages that were asked back are not hashed', noticedBy: 'test/unit/passage/resolver.test.ts',
  },
  {
    file: 'src/passage/publicrefs.ts', replace: '', noticedBy: 'test/unit/passage/publicrefs.test.ts',
    find: 'if (this.#table.getByBits(high, this.#ids.readUInt32BE(id + 4), this.#bits) === -1) continue',
    why: 'pages that no public guest holds are named by public ids',
  },
  {
    file: 'src/transfer/sharing.ts', find: 'hasPublic && offered.public === true && own', replace: 'own',
    why: 'a destination refers a source to public pages that does not know them',
    noticedBy: 'test/unit/transfer/sharing.test.ts',
  },
  {
    file: 'src/agent/publicpages.ts', find: ', run, PUBLIC_TENANT)', replace: ', run)',
    why: 'pages of guests of every tenant are listed as public', noticedBy: 'test/unit/agent/publicpages.test.ts',
  },
  {
    file: 'src/passage/sentpages.ts', find: 'for (let i = 0; i < ID_BYTES; i++)',
    replace: 'for (let i = 0; i < ID_BYTES / 2; i++)',
    why: 'a page sent before is recognised by the first half of its id',
    noticedBy: 'test/unit/passage/sentpages.test.ts',
  },
  {
    file: 'src/passage/window.ts', find: 'this.#inFlight.size >= WINDOW_BATCHES_MAX || ', replace: '',
    why: 'any number of small batches may be in flight', noticedBy: WINDOW,
  },
  {
    file: 'src/passage/window.ts', find: 'this.#streamBytes -= batch.streamBytes', replace: '',
    why: 'bytes in flight are never counted down', noticedBy: WINDOW,
  },
  {
    file: 'src/passage/window.ts', find: 'this.#streamBytesMax = WINDOW_STREAM_BYTES_POSTCOPY', replace: '',
    why: 'the window is as wide in post-copy', noticedBy: WINDOW,
  },
  {
    file: 'src/handoff/incoming.ts', find: 'return effect.isFirst ? written : behind(', replace: 'return behind(',
    why: 'the destination does not wait until the start of a copy is recorded', noticedBy: WRITTEN,
  },
  {
    file: 'src/handoff/outgoing.ts', find: 'return effect.isFirst ? written : behind(', replace: 'return behind(',
    why: 'the source does not wait until the move is recorded', noticedBy: WRITTEN,
  },
  {
    file: 'src/handoff/sourcewatch.ts', find: "'postmigrate') this.ran = state",
    replace: "'postmigrate') this.ran ??= state", why: 'the run state is queried once', noticedBy: RUN_STATE,
  },
]
