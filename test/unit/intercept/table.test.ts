/** nft is played by scripts: what the real one does, and the kernel, the tests of interop see. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { requireNft, whyRefused } from '../../../src/intercept/nft.ts'
import { OwnedTable } from '../../../src/intercept/table.ts'
import { kernelInUse } from '../../../src/page/index.ts'
import { systemClock } from '../../../src/runtime/clock.ts'

const NOTHING = { addresses: [], keep: false }
const LIST = 'printf "table inet pagemesh {\\n\\tset four {\\n\\t\\telements = { %s }\\n\\t}\\n}\\n"'

describe('the process that owns the table', () => {
  let folder: string

  beforeEach(async () => { folder = await mkdtemp(join(tmpdir(), 'table-')) })
  afterEach(() => rm(folder, { recursive: true }))

  /** A program that reads lines as nft does, and does `body` for each that asks for the table. */
  async function played(body: string): Promise<string> {
    const path = join(folder, 'nft')
    const loop = `while read -r line; do case "$line" in list*) ${body};; esac; done`
    await writeFile(path, `#!/bin/sh\n${loop}\n`, { mode: 0o755 })
    return path
  }

  async function open(nft: string, content = NOTHING as { addresses: string[]; keep: boolean }): Promise<OwnedTable> {
    return await OwnedTable.open({ clock: systemClock }, { nft, create: 'create', listenerFds: [] }, content)
  }

  it('is believed only when it lists what it was told', async () => {
    const table = await open(await played(`${LIST} "10.0.0.3, 10.0.0.2"`), {
      addresses: ['10.0.0.2', '10.0.0.3'], keep: true,
    })
    await assert.rejects(table.fill({ addresses: ['10.0.0.2'], keep: true }), /does not have the wanted content/)
    await table.close()
    await table.close()
    assert.match(await table.gone, /nft ended/)
  })

  it('says why it does not do what it was told', async () => {
    const why = 'echo "Error: Could not process rule: Operation not permitted" >&2; exit 1'
    await assert.rejects(open(await played(why)), /another agent of this host has its table already/)
    await assert.rejects(open(await played('exit 3')), /nft ended \(3\)/)
    await assert.rejects(open(join(folder, 'missing')), /ENOENT/)
  })

  it('is ended when it says without end what nobody asked', async () => {
    // Resolves when it has ended: the table is gone then.
    await assert.rejects(open(await played('exec yes')))
  })

  it('is told to be gone when it dies', async () => {
    const table = await open(await played(`${LIST} ""; kill -9 $$`))
    assert.match(await table.gone, /nft ended \(SIGKILL\)/)
    await table.close()
  })

  it('is found where distributions have it, or said to be missing', () => {
    if (kernelInUse() === 'package') {
      assert.throws(() => requireNft(['/bin/sh']), /C kernel/)
      return
    }
    assert.equal(requireNft([join(folder, 'nft'), '/bin/sh']), '/bin/sh')
    assert.throws(() => requireNft([join(folder, 'nft')]), /nft is missing \(package nftables\)/)
  })

  it('is asked beforehand whether it would take a program', async () => {
    const path = join(folder, 'nft')
    const judge = '[ "$*" = "--check good" ] && exit 0; echo "Error: syntax error, no" >&2; exit 1'
    await writeFile(path, `#!/bin/sh\n${judge}\n`, { mode: 0o755 })
    assert.equal(await whyRefused(path, 'good'), undefined)
    assert.match(await whyRefused(path, 'bad') ?? '', /too old/)
    assert.match(await whyRefused(join(folder, 'missing'), 'good') ?? '', /ENOENT/)
  })
})
