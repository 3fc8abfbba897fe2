/**
 * A whole agent with its store on real NFS, in a guest that serves it to itself: this system's kernel may have no NFS.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

import { NFS } from '../../src/host/filesystem.ts'
import { ensureImage, startGuest, type LabGuest } from '../../testnet/index.ts'
import { REPOSITORY } from '../../testnet/machine/image.ts'
import { skipWithoutLab } from '../support/labmove.ts'
import type { NfsAgentReport } from '../support/nfs/agent.ts'

const DISK_MIB = 512
const TIMEOUT_MS = 300_000

describe('an agent whose store is on NFS', function () {
  this.timeout(TIMEOUT_MS)
  let directory = ''
  let guest: LabGuest | undefined
  let reports: NfsAgentReport[] = []

  before(async function () {
    await skipWithoutLab.call(this)
    directory = mkdtempSync(join(tmpdir(), 'nfs-'))
    const disk = await writeDisk(directory)
    guest = await startGuest({
      name: 'nfs', directory, work: 'errand', memoryMiB: 1024,
      further: ['-drive', `if=virtio,file=${disk},format=raw,read-only=on`],
    })
    await guest.ready(TIMEOUT_MS)
    const serial = readFileSync(guest.paths.serial, 'utf8')
    reports = [...serial.matchAll(/^errand: (\{.*\})\s*$/gm)].map(([, json]) => JSON.parse(json!) as NfsAgentReport)
    assert.equal(reports.length, 2, serial.slice(-3000))
  })

  after(async () => {
    await guest?.stop()
    if (directory !== '') rmSync(directory, { recursive: true })
  })

  it('runs without it, and says why and what to do', () => {
    const { fileSystem, errors: [error, ...others], status, refusal } = reports[0]!
    assert.deepEqual([fileSystem, refusal], [NFS, undefined])
    assert.match(error!, /this host keeps no pages: .*is on NFS, where no lock holds.*on a disk of this host/s)
    assert.deepEqual(others, [])
    assert.equal(status!.pages, 0)
  })

  it('does not start where it may not read its own files, and says which', () => {
    const { fileSystem, refusal } = reports[1]!
    assert.equal(fileSystem, NFS)
    assert.match(refusal!, /\/closed\/.*cannot be used: EACCES/)
  })
})

/** A disk with Node, the program, what it needs, and the modules of NFS. */
async function writeDisk(directory: string): Promise<string> {
  const { nfsModules } = await ensureImage()
  const tree = join(directory, 'tree')
  mkdirSync(join(tree, 'modules'), { recursive: true })
  for (const module of nfsModules) cpSync(module, join(tree, 'modules', basename(module)))
  cpSync(process.execPath, join(tree, 'node'))
  cpSync(join(REPOSITORY, 'test/support/nfs/run'), join(tree, 'run'))
  for (const path of ['package.json', 'src', 'test/support/nfs', ...needed()]) {
    cpSync(join(REPOSITORY, path), join(tree, path), { recursive: true, dereference: true })
  }
  const disk = join(directory, 'errand.ext4')
  execFileSync('mkfs.ext4', ['-q', '-d', tree, '-O', '^has_journal', disk, `${DISK_MIB}M`], {
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
  })
  rmSync(tree, { recursive: true })
  return disk
}

/** Packages that the program needs when it runs. */
function needed(): string[] {
  const { packages } = JSON.parse(readFileSync(join(REPOSITORY, 'npm-shrinkwrap.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean }>
  }
  // Of those with native code only the one of this machine is installed.
  return Object.entries(packages).filter(([path, { dev }]) => path !== '' && dev !== true).map(([path]) => path)
    .filter((path) => existsSync(join(REPOSITORY, path)))
}
