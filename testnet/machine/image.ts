import { readdirSync } from 'node:fs'
import { join } from 'node:path'

import { runCommand } from './command.ts'

/** A bootable Debian, built once by image/build.sh and kept under .cache. Guests only read it. */
export interface GuestImage {
  /** Folder of the image; its name is a hash over the recipe. */
  directory: string
  kernel: string
  initramfs: string
  disk: string
  /** Modules of an NFS server and client, in the order of loading. */
  nfsModules: string[]
}

/** The repository's root: the lab keeps its images in `.cache` there. */
export const REPOSITORY = join(import.meta.dirname, '..', '..')

/**
 * The guest image, built if missing (a minute or two, with progress on standard error). Throws LabError
 * `lab-command-failed` if it cannot be built: not root, no mirror, no disk space.
 */
export async function ensureImage(): Promise<GuestImage> {
  const script = join(import.meta.dirname, '..', 'image', 'build.sh')
  const directory = (await runCommand(['bash', script], true)).trim()
  return {
    directory,
    kernel: join(directory, 'vmlinuz'),
    initramfs: join(directory, 'initramfs.img'),
    disk: join(directory, 'root.ext4'),
    nfsModules: readdirSync(join(directory, 'nfs')).sort().map((name) => join(directory, 'nfs', name)),
  }
}
