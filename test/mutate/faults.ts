import type { HandMadeFault } from './fault.ts'
import { HANDOFF_FAULTS } from './handofffaults.ts'

/** Plausible mistakes that a fast test must notice. */
export const HAND_MADE_FAULTS: readonly HandMadeFault[] = [
  ...HANDOFF_FAULTS,
  {
    file: 'src/census/scan.ts', find: 'if (isZeroPage(this.#pages, page * PAGE_BYTES)) zeroPages += 1\n      else this',
    replace: 'this', why: 'zero pages are counted as pages of the guest',
    noticedBy: 'test/unit/census/census.test.ts',
  },
  {
    file: 'src/cli/cancel.ts', find: '          process.exitCode = EXIT.failed\n',
    replace: '', why: 'a late cancel exits 0',
    noticedBy: 'test/unit/cli/control.test.ts',
  },
  {
    file: 'src/daemon/config.ts', find: "if ('expected' in read) {", replace: 'if (false) {',
    why: 'an invalid value of an option is accepted',
    noticedBy: 'test/unit/daemon/config.test.ts',
  },
  {
    file: 'src/host/socketfile.ts', find: 'if (file?.ino === inode) await rm(path',
    replace: 'await rm(path', why: 'the control socket of another agent is removed at stop',
    noticedBy: 'test/unit/daemon/control/control.test.ts',
  },
  {
    file: 'src/host/socketfile.ts', find: "if (code === undefined || code === 'EAGAIN') {",
    replace: 'if (code === undefined) {', why: 'an agent that is too busy to answer counts as absent',
    noticedBy: 'test/unit/daemon/control/control.test.ts',
  },
  {
    file: 'src/host/socketfile.ts', find: 'await chmod(boundAt, mode)', replace: '',
    why: 'every user may connect to the agent',
    noticedBy: 'test/unit/daemon/control/control.test.ts',
  },
  {
    file: 'src/daemon/optionvalue.ts', find: ' && value >= min',
    replace: '', why: 'the lower bound of an option is ignored',
    noticedBy: 'test/unit/daemon/optionvalue.test.ts',
  },
  {
    file: 'src/daemon/optionvalue.ts', find: ' && value <= max',
    replace: '', why: 'the upper bound of an option is ignored',
    noticedBy: 'test/unit/daemon/optionvalue.test.ts',
  },
  {
    file: 'src/guest/pagemap.ts', find: 'flags === PRESENT ? 1 : 0', replace: 'flags !== 0 ? 1 : 0',
    why: 'swapped-out pages count as resident, and are read',
    noticedBy: 'test/unit/guest/processmemory.test.ts',
  },
  {
    file: 'src/guest/process.ts', find: 'readStartTicks(process.pid) === process.startTicks',
    replace: 'readStartTicks(process.pid) !== undefined', why: 'a process counts as alive whatever its start time',
    noticedBy: 'test/unit/guest/process.test.ts',
  },
  {
    file: 'src/guest/process.ts', find: "fields[0] === 'Z' || ", replace: '',
    why: 'a zombie process counts as alive',
    noticedBy: 'test/unit/guest/process.test.ts',
  },
  {
    file: 'src/guest/processmemory.ts', find: 'if (readStartTicks(layout.pid) !== layout.startTicks) {',
    replace: 'if (readStartTicks(layout.pid) === undefined) {', why: 'the memory of another process is read',
    noticedBy: 'test/unit/guest/processmemory.test.ts',
  },
  {
    file: 'src/mesh/members/announcement.ts', find: "version !== 1 || typeof name !== 'string'",
    replace: "typeof name !== 'string'",
    why: 'an announcement of another version is accepted',
    noticedBy: 'test/unit/mesh/codecs.test.ts',
  },
  {
    file: 'src/mesh/admission/proof.ts', find: 'makeNonce(instance, random.bytes(FRESH_BYTES))',
    replace: 'makeNonce(instance, new Uint8Array(FRESH_BYTES))',
    why: 'the nonce of the key proof is constant: it can be replayed',
    noticedBy: 'test/unit/mesh/admission/proof.test.ts',
  },
  {
    file: 'src/mesh/admission/proof.ts', find: 'if (hello.version !== PROOF_VERSION) throw',
    replace: 'if (false) throw',
    why: 'the version of the proof is not checked',
    noticedBy: 'test/unit/mesh/admission/proof.test.ts',
  },
  {
    file: 'src/mesh/admission/proof.ts', find: 'if (!isProved(proof, expected)) throw',
    replace: 'if (false) throw',
    why: 'a host without the cluster key gets in',
    noticedBy: 'test/unit/mesh/admission/proof.test.ts',
  },
  {
    file: 'src/rotation/asking.ts', find: 'if (timingSafeEqual(expected, proof)) continue', replace: 'continue',
    why: 'a member is believed to have the new key, and the old one is removed under it',
    noticedBy: 'test/unit/rotation/rotation.test.ts',
  },
  {
    file: 'src/page/digest.ts', find: 'hasher.update(bufferOver(previous))\n', replace: '',
    why: 'digests are not chained: batches can be left out or exchanged',
    noticedBy: 'test/unit/page/digest.test.ts',
  },
  {
    file: 'src/page/packing.ts', find: 'maxOutputLength: room, chunkSize: room + 1,', replace: 'chunkSize: room,',
    why: 'a few bytes from another host may unpack to any size',
    noticedBy: 'test/unit/page/packing.test.ts',
  },
  {
    file: 'src/page/prefixtable.ts',
    find: 'if (this.#high[slot] === wantedHigh && this.#low[slot] === wantedLow) return slot',
    replace: 'if (this.#high[slot] === wantedHigh) return slot',
    why: 'a prefix table compares only the first half of a prefix',
    noticedBy: 'test/unit/page/prefixtable.test.ts',
  },
  {
    file: 'src/page/prefixtable.ts',
    find: 'if (this.#high[slot] === wantedHigh && this.#low[slot] === wantedLow) return slot',
    replace: 'if (this.#low[slot] === wantedLow) return slot',
    why: 'a prefix table compares only the second half of a prefix',
    noticedBy: 'test/unit/page/prefixtable.test.ts',
  },
  {
    file: 'src/page/sortedtable.ts',
    find: 'return this.#high[index] === wantedHigh && this.#low[index] === wantedLow ? index : -1',
    replace: 'return this.#high[index] === wantedHigh ? index : -1',
    why: 'a sorted table compares only half of a prefix',
    noticedBy: 'test/unit/page/sortedtable.test.ts',
  },
  {
    file: 'src/page/source.ts', find: 'for (let i = 0; i < this.knownBytes; i++)',
    replace: 'for (let i = 0; i < this.knownBytes / 2; i++)',
    why: 'a batch compares only the first half of an id',
    noticedBy: 'test/unit/page/source.test.ts',
  },
  {
    file: 'src/page/source.ts', find: 'for (let i = 0; i < this.knownBytes; i++)',
    replace: 'for (let i = this.knownBytes / 2; i < this.knownBytes; i++)',
    why: 'a batch compares only the second half of an id',
    noticedBy: 'test/unit/page/source.test.ts',
  },
  {
    file: 'src/store/lock.ts', find: 'if (found?.ino === inode) await rm(path', replace: 'await rm(path',
    why: "another agent's lock of the store is removed at stop",
    noticedBy: 'test/unit/store/lock.test.ts',
  },
  {
    file: 'src/swap/arrival.ts', find: 'ids.readUInt32BE(idAt) !== high[place] || ', replace: '',
    why: 'only the second half of an arrived prefix is compared',
    noticedBy: 'test/unit/swap/arrival.test.ts',
  },
  {
    file: 'src/swap/arrival.ts', find: ' || ids.readUInt32BE(idAt + 4) !== low[place]', replace: '',
    why: 'only the first half of an arrived prefix is compared',
    noticedBy: 'test/unit/swap/arrival.test.ts',
  },
  {
    file: 'src/swap/wire.ts', find: 'bytes[1] !== VERSION || ', replace: '',
    why: 'a session of another version of the swap protocol is accepted',
    noticedBy: 'test/unit/swap/wire.test.ts',
  },
]
