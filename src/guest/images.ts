import { closeSync, constants, openSync, type Stats } from 'node:fs'

import { systemErrorCode } from '../runtime/errors.ts'
import { keepsFrom, type ImageUse } from './filelocks.ts'
import { findLockHolders, opensForWriting, type LockHolder } from './openfiles.ts'
import { pathSeenBy, readArguments, readUid } from './process.ts'
import { asList, asRecord, asText } from './qmpvalue.ts'
import type { QmpAsker } from './status.ts'
import { statOrNothing } from './vanishing.ts'

/** An image file or block device that a QEMU uses. */
export interface ImageFile {
  path: string
  writes: boolean
}

/** Images of the guest's disks, without their backing files. */
export async function queryImages(qmp: QmpAsker): Promise<ImageFile[]> {
  return asList(await qmp.execute('query-block')).flatMap((device) => {
    const inserted = asRecord(asRecord(device)['inserted'])
    const path = asText(inserted['file'])
    return path === '' ? [] : [{ path, writes: inserted['ro'] !== true }]
  })
}

/**
 * Obstacles to QEMU `pid` using its images once its guest `guest` is released, a sentence each. A waiting QEMU has not
 * locked its images yet.
 */
export function findImageFaults(pid: number, guest: string, images: readonly ImageFile[]): string[] {
  const words = readArguments(pid)
  return images.flatMap((image) => {
    const { path, writes } = image
    const seen = pathSeenBy(pid, path)
    const file = statOrNothing(seen)
    // A file that was passed as a descriptor has no path; its manager is responsible for it.
    if (file === undefined) return []
    if (writes && !mayWrite(pid, seen, file)) {
      return [`The disk ${path} may not be written by its QEMU (process ${pid}).`]
    }
    return lockFault(path, useOf(image, words), { guest, holders: findLockHolders(pid, file) }) ?? []
  })
}

/** How a QEMU with these arguments uses an image; undefined if locking is off. Pure. */
export function useOf({ path, writes }: ImageFile, words: readonly string[]): ImageUse | undefined {
  if (words.some((word) => word.includes(path) && /locking"?[=:]\s*"?off/.test(word))) return undefined
  return { writes, sharesWriting: words.some((word) => /share-rw"?[=:]\s*"?(on|true)/.test(word)) }
}

/**
 * A sentence that names the process whose lock prevents `guest`'s QEMU from using an image; undefined if there is none
 * or no lock is needed. A QEMU of the same name is the guest's source on this host: it will release the image. Pure.
 */
export function lockFault(
  path: string, use: ImageUse | undefined, { guest, holders }: { guest: string; holders: readonly LockHolder[] },
): string | undefined {
  if (use === undefined) return undefined
  const holder = holders.find((other) => other.guest !== guest && keepsFrom(other.locks, use))
  if (holder === undefined) return undefined
  const who = holder.guest === undefined ? holder.command : `guest ${holder.guest}`
  return `The disk ${path} is in use by ${who} (process ${holder.pid}).`
}

/** Whether QEMU has activated the image, which opens it for writing. Undefined if that cannot be seen. */
export function isTaken(pid: number, { path, writes }: ImageFile): boolean | undefined {
  if (!writes) return true
  const file = statOrNothing(pathSeenBy(pid, path))
  return file === undefined ? undefined : opensForWriting(pid, file)
}

/** Whether QEMU's user may write the file; true if that cannot be determined, as with ACLs. */
function mayWrite(pid: number, path: string, file: Stats): boolean {
  if (file.isFile() && isOnReadOnly(path)) return false
  const uid = readUid(pid)
  if (uid === 0) return true
  if (uid === file.uid) return (file.mode & 0o200) !== 0
  return (file.mode & 0o022) !== 0
}

/** Whether the file system is read-only. Only tested for files: closing a block device triggers udev. */
function isOnReadOnly(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_WRONLY))
    return false
  } catch (error) {
    return systemErrorCode(error) === 'EROFS'
  }
}
