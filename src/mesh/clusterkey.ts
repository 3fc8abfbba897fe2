import { timingSafeEqual } from 'node:crypto'
import { chmod, open, readFile, stat } from 'node:fs/promises'

import { Blake3Hasher } from '@napi-rs/blake-hash'
import { fromString } from 'uint8arrays/from-string'
import { toString } from 'uint8arrays/to-string'

import { bufferOver } from '../bytes/bufferover.ts'
import { requireUnexposed } from '../host/exposure.ts'
import { SHARED_TENANT, type KeyEpoch } from '../page/index.ts'
import { PagemeshError, systemErrorCode } from '../runtime/errors.ts'
import { systemRandom, type Random } from '../runtime/random.ts'

/**
 * The cluster key: 32 secret bytes that every host of a cluster holds, in a text file of one line:
 *
 *   pagemesh-key-1:<base64url of 32 bytes>
 *
 * While it is rotated there are two lines: the first key is used, the second only accepted. It is never used directly:
 * each use has its own key, derived with its own context.
 */
const KEY_PREFIX = 'pagemesh-key-1:'
const KEY_BYTES = 32
/** A key file is 59 bytes; anything much larger is some other file. */
const KEY_FILE_BYTES_MAX = 1024
const OTHERS_MASK = 0o077

/** 64 bits: two cluster keys that meet have different names. */
const EPOCH_ID_BYTES = 8

const MEMBER_CONTEXT = 'pagemesh key 1 member proof'
const PAGE_CONTEXT = 'pagemesh key 1 page id'
const TENANT_CONTEXT = 'pagemesh key 1 page id of a tenant'
const STORE_CONTEXT = 'pagemesh key 1 store of a tenant'
const EPOCH_CONTEXT = 'pagemesh key 1 name of the key'
const SLICE_CONTEXT = 'pagemesh key 1 slice owners'
const POSSESSION_CONTEXT = 'pagemesh key 1 proof of possession'
/** The form of a key's id. */
export const KEY_ID_FORM = /^[0-9a-f]{16}$/

export interface ClusterKeys {
  /** 32 bytes: proves membership to a peer. */
  memberKey: Uint8Array
  /** 32 bytes: keys the hash that makes page ids of the tenant `shared`. */
  pageKey: Uint8Array
  /** 32 bytes: keys the hash that draws the owners of slices. */
  sliceKey: Uint8Array
  /** 32 bytes: keys the hash by which a host proves that it holds a page. */
  possessionKey: Uint8Array
}

/** Derives the keys of each use from the 32 bytes of the cluster key. */
export function deriveKeys(clusterKey: Uint8Array): ClusterKeys {
  const from = bufferOver(clusterKey)
  const keyFor = (context: string): Uint8Array => new Uint8Array(Blake3Hasher.deriveKey(context, from))
  return {
    memberKey: keyFor(MEMBER_CONTEXT),
    pageKey: keyFor(PAGE_CONTEXT),
    sliceKey: keyFor(SLICE_CONTEXT),
    possessionKey: keyFor(POSSESSION_CONTEXT),
  }
}

/**
 * The page keys and store keys of one cluster key, one of each a tenant. Whoever holds the cluster key can derive them
 * all: what keeps tenants apart on honest hosts is that no page is ever hashed with the key of another tenant than its
 * guest's.
 */
export function keyEpoch(clusterKey: Uint8Array): KeyEpoch {
  const from = bufferOver(clusterKey)
  const { pageKey } = deriveKeys(clusterKey)
  // The cluster key has a fixed length, so no two tenants' inputs are the same.
  const keyFor = (context: string, tenant: string): Uint8Array =>
    new Uint8Array(Blake3Hasher.deriveKey(context, Buffer.concat([from, Buffer.from(tenant)])))
  return {
    id: keyIdOf(clusterKey),
    pageKeyOf: (tenant) => (tenant === SHARED_TENANT ? pageKey : keyFor(TENANT_CONTEXT, tenant)),
    storeKeyOf: (tenant) => keyFor(STORE_CONTEXT, tenant),
  }
}

/** What a key is called: 8 bytes as hex, derived from it, so that they tell nothing about it. */
export function keyIdOf(clusterKey: Uint8Array): string {
  return Blake3Hasher.deriveKey(EPOCH_CONTEXT, bufferOver(clusterKey)).toString('hex', 0, EPOCH_ID_BYTES)
}

/** The keys of a host: the one that it uses, and while they are rotated one more that it accepts. 32 bytes each. */
export interface HeldKeys {
  used: Uint8Array
  other?: Uint8Array
}

/** What a key file holds. */
export function clusterKeyText(used: Uint8Array, other?: Uint8Array): string {
  const lineOf = (key: Uint8Array): string => `${KEY_PREFIX}${toString(key, 'base64url')}\n`
  return lineOf(used) + (other === undefined ? '' : lineOf(other))
}

/**
 * Writes a new key to `path`, mode 0600.
 * Throws PagemeshError `key-exists` rather than overwrite a file, `key-not-written` if the file cannot be made.
 */
export async function writeClusterKey(path: string, random: Random = systemRandom): Promise<void> {
  const text = clusterKeyText(random.bytes(KEY_BYTES))
  try {
    await using file = await open(path, 'wx', 0o600)
    await file.writeFile(text)
    await file.sync()
    // An unusual umask may have removed the owner's own bits.
    await chmod(path, 0o600)
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') {
      throw new PagemeshError('key-exists', `${path} exists already and was left as it is.`, {
        fault: 'usage', data: { path }, cause: error,
        advice: 'Give another path. A new key would shut this host out of its cluster.',
      })
    }
    throw new PagemeshError('key-not-written', `The cluster key could not be written to ${path}.`, {
      fault: 'host', data: { path }, cause: error, advice: 'Check that the folder exists and may be written to.',
    })
  }
}

/**
 * The 32 bytes of the key in `path`, of two the one that is used. Throws as `readClusterKeys`.
 */
export async function readClusterKey(path: string): Promise<Uint8Array> {
  return (await readClusterKeys(path)).used
}

/**
 * The keys in `path`.
 * Throws PagemeshError `key-missing`, `key-exposed` (others may read it), `directory-exposed` (others may replace it)
 * or `key-malformed`.
 */
export async function readClusterKeys(path: string): Promise<HeldKeys> {
  try {
    const { mode, size } = await stat(path)
    if ((mode & OTHERS_MASK) !== 0) throw exposed(path, mode)
    if (size > KEY_FILE_BYTES_MAX) throw malformed(path)
    await requireUnexposed(path, 'the cluster key')
    return parseClusterKeys(await readFile(path, 'utf8'), path)
  } catch (error) {
    if (error instanceof PagemeshError) throw error
    throw unreadable(path, error)
  }
}

function parseClusterKeys(text: string, path: string): HeldKeys {
  const [used, other, ...rest] = text.trim().split('\n').map((line) => parseClusterKey(line.trim(), path))
  if (used === undefined || rest.length > 0) throw malformed(path)
  if (other === undefined) return { used }
  if (timingSafeEqual(used, other)) throw malformed(path)
  return { used, other }
}

function parseClusterKey(line: string, path: string): Uint8Array {
  const encoded = line.slice(KEY_PREFIX.length)
  if (!line.startsWith(KEY_PREFIX) || !/^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/.test(encoded)) throw malformed(path)
  return fromString(encoded, 'base64url')
}

/** A new key would shut the host out: nobody is told to make one where there may be one. */
function unreadable(path: string, cause: unknown): PagemeshError {
  const code = systemErrorCode(cause)
  const isDenied = code === 'EACCES' || code === 'EPERM'
  return new PagemeshError('key-missing', `The cluster key ${path} cannot be read (${code ?? 'unknown cause'}).`, {
    fault: 'usage', data: { path }, cause,
    advice: isDenied ? 'Run this as root or as the agent\'s user, which must be able to read that file.'
      : 'Make one with `pagemesh keygen` on one host and copy it to the others, readable by the agent.',
  })
}

function exposed(path: string, mode: number): PagemeshError {
  return new PagemeshError('key-exposed', `Users other than its owner may read or write the cluster key ${path}.`, {
    fault: 'usage', data: { path, mode: (mode & 0o777).toString(8) },
    advice: `Run \`chmod 600 ${path}\`; if another user may have read it, make a new cluster key.`,
  })
}

function malformed(path: string): PagemeshError {
  return new PagemeshError('key-malformed', `${path} holds no cluster key.`, {
    fault: 'usage', data: { path },
    advice: 'Copy the whole file from a host that works, or make one with `pagemesh keygen`.',
  })
}
