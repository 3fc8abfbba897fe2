import { createHash } from 'node:crypto'
import { access, copyFile, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { runCommand } from './command.ts'
import type { GuestImage } from './image.ts'

const INIT = join(import.meta.dirname, '..', 'busybox', 'init')

/**
 * A system other than Debian: the image's kernel and busybox with its own init, all in memory, ready in seconds. Its
 * initramfs is made once and kept in the image's folder, named by a hash over its init.
 */
export async function ensureBusybox(image: GuestImage): Promise<GuestImage> {
  const hash = createHash('sha256').update(await readFile(INIT)).digest('hex').slice(0, 16)
  const initramfs = join(image.directory, `busybox-${hash}.img`)
  if (!await access(initramfs).then(() => true, () => false)) await build(image, initramfs)
  return { ...image, initramfs }
}

/**
 * The kernel unpacks one archive over the other, so that the second one's init replaces the first one's. An
 * uncompressed archive would have to begin at a multiple of four bytes.
 */
async function build(image: GuestImage, path: string): Promise<void> {
  const directory = await mkdtemp(`${path}-`)
  try {
    await copyFile(INIT, join(directory, 'init'))
    const archive = join(directory, 'archive')
    await runCommand(['bash', '-euc', `
      cd ${directory}
      chmod 755 init
      echo init | cpio --create --format=newc --quiet --reproducible | gzip -n >archive`])
    const whole = join(directory, 'whole')
    await writeFile(whole, Buffer.concat([await readFile(image.initramfs), await readFile(archive)]))
    // Atomic, and harmless if two runs do it at once.
    await rename(whole, path)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
