/**
 * The two files of a store. The slab consists of slots of one sealed page each, slot i at byte i * 4128. The index
 * describes their contents:
 *
 *   slab   = slot*
 *   slot   = run nonce tag page                  4128 bytes, see sealing.ts and page/sealed.ts
 *   index  = head record*                        record i tells of slot i
 *   head   = magic version check count scope* zeros      4096 bytes
 *   scope  = name salt                           48 bytes, at most 32 of them
 *   record = id time kind word check             32 bytes, or 32 zeros for a free slot
 *   run    = u32    nonce = 12 bytes    tag = 16 bytes    page = 4096 bytes, encrypted
 *   magic  = 8 bytes    version, check, count = u32    name = 16 bytes    salt = 32 bytes
 *   id     = 16 bytes   time = u32 seconds since the Unix epoch    kind = u32    word = u32    check = u32
 *
 * Numbers are in the host's byte order, little-endian wherever this runs. A record's check also covers its slot, and
 * its word is the first four bytes of its scope's name. A check that passes by chance does no harm: a page is opened as
 * that slot's and that id's, and hashed before use. Without its head a store cannot be read: it is begun anew.
 */
import { bufferOver } from '../bytes/bufferover.ts'
import { EPOCHS_MAX, PAGE_BYTES, SEAL_BYTES, TENANTS_MAX } from '../page/index.ts'
import { assert } from '../runtime/assert.ts'

export const HEAD_BYTES = 4096
export const RECORD_BYTES = 32
export const RECORD_WORDS = RECORD_BYTES / 4
export const SLOT_BYTES = SEAL_BYTES + PAGE_BYTES
export const NAME_BYTES = 16
export const SALT_BYTES = 32
export const VERSION = 2

const MAGIC = 'pagestor'
const VERSION_AT = 8
const HEAD_CHECK_AT = 12
const COUNT_AT = 16
const SCOPES_AT = 20
const SCOPE_BYTES = NAME_BYTES + SALT_BYTES
const SCOPES_MAX = EPOCHS_MAX * TENANTS_MAX
const TIME_WORD = 4
const KIND_WORD = 5
const SCOPE_WORD = 6
const CHECK_WORD = 7
/** 4 TiB of pages: the bound of a table of 32-bit numbers. */
const SLOTS_MAX = 2 ** 30

/** How many slots fit into `bytes` of disk space. */
export function slotsIn(bytes: number): number {
  return Math.min(SLOTS_MAX, Math.max(0, Math.floor((bytes - HEAD_BYTES) / (SLOT_BYTES + RECORD_BYTES))))
}

/** Disk space of this many slots. */
export function bytesOf(slots: number): number {
  return HEAD_BYTES + slots * (SLOT_BYTES + RECORD_BYTES)
}

/** A scope as the head has it: both are random to whoever lacks its key. */
export interface NamedScope {
  name: Uint8Array
  salt: Uint8Array
}

export function encodeHead(scopes: readonly NamedScope[]): Buffer {
  assert(scopes.length <= SCOPES_MAX, 'a head has room for all live scopes')
  const head = Buffer.alloc(HEAD_BYTES)
  head.write(MAGIC, 'latin1')
  head.writeUInt32LE(VERSION, VERSION_AT)
  head.writeUInt32LE(scopes.length, COUNT_AT)
  for (const [index, { name, salt }] of scopes.entries()) {
    head.set(name, SCOPES_AT + index * SCOPE_BYTES)
    head.set(salt, SCOPES_AT + index * SCOPE_BYTES + NAME_BYTES)
  }
  head.writeUInt32LE(headCheck(head, scopes.length), HEAD_CHECK_AT)
  return head
}

/** The scopes of a store; or why it cannot be read: it is of another version, or damaged. */
export function decodeHead(head: Buffer): NamedScope[] | 'other-version' | 'damaged' {
  if (head.length < HEAD_BYTES || head.toString('latin1', 0, MAGIC.length) !== MAGIC) return 'damaged'
  if (head.readUInt32LE(VERSION_AT) !== VERSION) return 'other-version'
  const count = head.readUInt32LE(COUNT_AT)
  if (count > SCOPES_MAX || head.readUInt32LE(HEAD_CHECK_AT) !== headCheck(head, count)) return 'damaged'
  return Array.from({ length: count }, (_, index) => {
    const at = SCOPES_AT + index * SCOPE_BYTES
    return {
      name: Uint8Array.from(head.subarray(at, at + NAME_BYTES)),
      salt: Uint8Array.from(head.subarray(at + NAME_BYTES, at + SCOPE_BYTES)),
    }
  })
}

/** Over what follows the check. */
function headCheck(head: Buffer, count: number): number {
  let check = VERSION
  for (let at = COUNT_AT; at < SCOPES_AT + count * SCOPE_BYTES; at += 4) check = mixed(check, head.readUInt32LE(at))
  return finished(check)
}

/** What the records of a scope's pages name it by. */
export function wordOf(name: Uint8Array): number {
  return bufferOver(name).readUInt32LE(0)
}

/** Writes the record of `slot` as words from `at` on. Its id is in `ids` at byte `idAt`; `scope` is a scope's word. */
export function writeRecord(
  words: Uint32Array, at: number, slot: number, scope: number, ids: Buffer, idAt: number, kind: number, time: number,
): void {
  for (let word = 0; word < TIME_WORD; word++) words[at + word] = ids.readUInt32LE(idAt + word * 4)
  words[at + TIME_WORD] = time
  words[at + KIND_WORD] = kind
  words[at + SCOPE_WORD] = scope
  words[at + CHECK_WORD] = recordCheck(words, at, slot)
}

/** Whether the words from `at` on are a free slot's. */
export function isFreeRecord(words: Uint32Array, at: number): boolean {
  for (let word = 0; word < RECORD_WORDS; word++) if (words[at + word] !== 0) return false
  return true
}

/** Whether the words from `at` on are a record written for `slot`. */
export function isWholeRecord(words: Uint32Array, at: number, slot: number): boolean {
  return words[at + CHECK_WORD] === recordCheck(words, at, slot)
}

/** The halves of the prefix of a record's id, its kind, its time, and its scope's word. */
export function recordHigh(words: Uint32Array, at: number): number {
  return swapped(words[at]!)
}

export function recordLow(words: Uint32Array, at: number): number {
  return swapped(words[at + 1]!)
}

export function recordKind(words: Uint32Array, at: number): number {
  return words[at + KIND_WORD]!
}

export function recordTime(words: Uint32Array, at: number): number {
  return words[at + TIME_WORD]!
}

export function recordScope(words: Uint32Array, at: number): number {
  return words[at + SCOPE_WORD]!
}

function recordCheck(words: Uint32Array, at: number, slot: number): number {
  let check = mixed(VERSION, slot)
  for (let word = 0; word < CHECK_WORD; word++) check = mixed(check, words[at + word]!)
  return finished(check)
}

/** The rounds of MurmurHash3 for one more word, and its finish. */
function mixed(check: number, word: number): number {
  let part = Math.imul(word, 0xcc9e2d51)
  part = Math.imul((part << 15) | (part >>> 17), 0x1b873593)
  const sum = check ^ part
  return (Math.imul((sum << 13) | (sum >>> 19), 5) + 0xe6546b64) | 0
}

function finished(check: number): number {
  let part = Math.imul(check ^ (check >>> 16), 0x85ebca6b)
  part = Math.imul(part ^ (part >>> 13), 0xc2b2ae35)
  return (part ^ (part >>> 16)) >>> 0
}

/** The word with its bytes reversed: prefixes are read big-endian everywhere else. */
function swapped(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0
}
