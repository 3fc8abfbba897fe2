import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { delimiter, join } from 'node:path'

const MAIN = new URL('../../../src/cli/main.ts', import.meta.url)
const PACKAGE = new URL('../../../package.json', import.meta.url)
/** How a Node of another version looks to a program that asks. */
const PRETENDING = 'data:text/javascript,Object.defineProperty(process, "versions", { value: { node: "20.20.2" } })'
const COMPLAINT = /^pagemesh: Pagemesh needs Node 24 or later, and this is [\d.]+: install a newer one, or .+\.\n$/

describe('the command under an older Node', () => {
  const folder = mkdtempSync('/tmp/pm-oldnode-')
  const main = join(folder, 'main.js')

  before(() => {
    // As the compiler leaves it, and with nothing beside it: an older Node may not get so far as to load the rest.
    writeFileSync(main, stripTypeScriptTypes(readFileSync(MAIN, 'utf8')))
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  })

  after(() => rmSync(folder, { recursive: true }))

  it('says in one sentence which it needs, which this is and what to do', () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', PRETENDING, main, 'status'], {
      encoding: 'utf8',
    })
    assert.deepEqual([status, stdout], [2, ''])
    assert.match(stderr, COMPLAINT)
    assert.match(stderr, /20\.20\.2/)
  })

  it('says so under every older Node that this machine has', () => {
    for (const node of oldNodes()) {
      const { status, stderr } = spawnSync(node, [main, 'status'], { encoding: 'utf8' })
      assert.equal(status, 2, node)
      assert.match(stderr, COMPLAINT)
    }
  })

  it('needs the Node that the package asks for', () => {
    const { engines } = JSON.parse(readFileSync(PACKAGE, 'utf8')) as { engines: { node: string } }
    assert.match(readFileSync(MAIN, 'utf8'), new RegExp(`NODE_MAJOR_MIN = ${engines.node.replace('>=', '')}\\n`))
  })
})

function oldNodes(): string[] {
  const candidates = process.env['PATH']!.split(delimiter).map((folder) => join(folder, 'node'))
  return candidates.filter((node) => {
    const { status, stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' })
    const major = Number(/^v(\d+)\./.exec(String(stdout))?.[1])
    // Node 12 is the first that reads modules without being asked to.
    return status === 0 && major >= 12 && major < 24
  })
}
