import { timingSafeEqual } from 'node:crypto'
import { open, realpath, stat, type FileHandle } from 'node:fs/promises'

import { writeWholeFile } from '../host/wholefile.ts'
import { describeError, PagemeshError, systemErrorCode } from '../runtime/errors.ts'
import { clusterKeyText, readClusterKeys, type HeldKeys } from './clusterkey.ts'

/** What the system says where a file may be written, but not be replaced by another of the same owner. */
const IRREPLACEABLE = ['EPERM', 'EACCES', 'EROFS', 'EBUSY']

/**
 * Puts other keys into the key file in one step, with its mode and owner: after a crash it holds the ones or the
 * others.
 * Throws PagemeshError `key-file-changed` if it does not hold `before`, or `key-not-written`; then it is as it was.
 */
export async function replaceClusterKeys(path: string, keys: HeldKeys, before: HeldKeys): Promise<void> {
  if (!isSame(await readClusterKeys(path), before)) throw changed(path)
  try {
    // Where the key file is a link, it stays one.
    const real = await realpath(path)
    const text = clusterKeyText(keys.used, keys.other)
    try {
      await replace(real, text)
    } catch (error) {
      if (!IRREPLACEABLE.includes(systemErrorCode(error) ?? '')) throw error
      await overwrite(real, text)
    }
  } catch (error) {
    throw notWritten(path, error)
  }
}

/**
 * Writes all of the text at once, blank lines to its former length, and only then cuts these off: so small a file is
 * written as one sector of a disk, and holds the ones or the others at any time.
 */
async function overwrite(path: string, text: string): Promise<void> {
  await using file = await open(path, 'r+')
  const { size } = await file.stat()
  await file.write(text.padEnd(size, '\n'), 0)
  await file.sync()
  await file.truncate(text.length)
  await file.sync()
}

async function replace(path: string, text: string): Promise<void> {
  const { uid, gid, mode } = await stat(path)
  await writeWholeFile(path, text, async (file) => {
    await keepOwner(file, { uid, gid })
    await file.chmod(mode & 0o777)
  })
}

async function keepOwner(file: FileHandle, owner: { uid: number; gid: number }): Promise<void> {
  const { uid, gid } = await file.stat()
  // Without need it is not even tried: the agent may not have the right to.
  if (uid !== owner.uid || gid !== owner.gid) await file.chown(owner.uid, owner.gid)
}

/** Whether two files of keys say the same. */
function isSame(one: HeldKeys, other: HeldKeys): boolean {
  if (!timingSafeEqual(one.used, other.used)) return false
  if (one.other === undefined || other.other === undefined) return one.other === other.other
  return timingSafeEqual(one.other, other.other)
}

function changed(path: string): PagemeshError {
  return new PagemeshError('key-file-changed', `${path} holds other keys than the agent: it was changed meanwhile.`, {
    fault: 'host', data: { path }, advice: 'Start the agent of that host anew, then run this again.',
  })
}

function notWritten(path: string, cause: unknown): PagemeshError {
  const message = `The cluster key could not be written to ${path}: ${describeError(cause)}.`
  return new PagemeshError('key-not-written', message, {
    fault: 'host', data: { path }, cause,
    advice: `On that host, let the agent write the file (under systemd: ReadWritePaths=${path} in a drop-in, made by ` +
      '`systemctl edit pagemesh`), then run this again.',
  })
}
