import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

import { parseConfig } from '../src/daemon/index.ts'
import { OPTIONS } from '../src/index.ts'
import { blocksOf, linksOf, placesOf } from './readme/documents.ts'
import { commandTable, configTable } from './readme/tables.ts'
import { COMMAND_MS_MAX, pagemesh } from './support/pagemesh.ts'
import { listFiles, read, ROOT } from './tidy/sources.ts'

const README = 'README.md'
/** The operators' document. */
const RUNNING = 'src/daemon/README.md'
/** The document for embedders. */
const INSIDE = 'src/README.md'
/** The first document is for users, and short. */
const LINES_MAX = 150
const COLUMNS_MAX = 120

const documents = listFiles().filter((path) => path.endsWith('.md'))
/** Without generated documents. */
const written = documents.filter((path) => path.endsWith(README))

function textOf(path: string): string {
  return read(path) ?? assert.fail(`${path} should be there`)
}

/** The code blocks of one language in all documents. */
function allBlocks(language: string): string[] {
  return written.flatMap((path) => blocksOf(textOf(path), language))
}

function hasTable(path: string, table: string): void {
  assert.ok(textOf(path).includes(`\n${table}\n`), `${path} should have:\n\n${table}\n`)
}

/** Why a link of a document is broken, or undefined. */
function brokenLink(path: string, link: string): string | undefined {
  const [file = '', place] = link.split('#')
  const target = file === '' ? path : normalize(join(dirname(path), file))
  if (target.startsWith('..') || !existsSync(join(ROOT, target))) return `${path}: ${link}: no such file`
  if (place !== undefined && !placesOf(textOf(target)).includes(place)) return `${path}: ${link}: no such place`
  return undefined
}

function linkedFrom(path: string): string[] {
  return linksOf(textOf(path)).map((link) => normalize(join(dirname(path), link.split('#')[0]!)))
}

describe('README.md', function () {
  this.timeout(COMMAND_MS_MAX)

  it('is short', () => {
    const lines = textOf(README).split('\n')
    assert.ok(lines.length - 1 <= LINES_MAX, `${lines.length - 1} lines`)
    assert.deepEqual(lines.filter((line) => line.length > COLUMNS_MAX), [])
  })

  it('has the commands that the help has, and no other', async () => {
    const table = commandTable((await pagemesh('--help')).stdout)
    hasTable(README, table)
    const known = [...table.matchAll(/`pagemesh (\w+)/g)].map(([, name]) => name)
    const used = [...allBlocks('sh').join('').matchAll(/^pagemesh (\w+)/gm)].map(([, name]) => name)
    assert.ok(used.length > 0)
    assert.deepEqual(used.filter((name) => !known.includes(name)), [])
  })

  it('has a configuration that an agent takes', () => {
    const [yaml = ''] = blocksOf(textOf(README), 'yaml')
    assert.equal(parseConfig(yaml, README).agentOptions.name, 'host-a')
  })

  it('has two commands that package.json has', () => {
    const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> }
    const commands = blocksOf(textOf(README), 'sh')
      .flatMap((code) => /^npm ci && npm (?:run )?(\w+)\n$/.exec(code)?.[1] ?? [])
    assert.deepEqual(commands, ['demo', 'test'])
    assert.ok(commands.every((name) => name in scripts))
  })
})

describe('the documents', function () {
  this.timeout(COMMAND_MS_MAX)

  it('have the configuration table of the options', () => hasTable(RUNNING, configTable(OPTIONS)))

  it('name only flags of `migrate` that it has', async () => {
    const { stdout } = await pagemesh('migrate', '--help')
    const flags = allBlocks('sh').join('').split('\n').filter((line) => line.startsWith('pagemesh migrate'))
      .flatMap((line) => line.replace(/#.*/, '').match(/--[a-z-]+/g) ?? [])
    assert.ok(flags.includes('--to') && flags.includes('--mode'))
    assert.deepEqual(flags.filter((flag) => !stdout.includes(`${flag} `)), [])
  })

  it('have configurations that an agent takes', () => {
    for (const yaml of allBlocks('yaml')) parseConfig(yaml, 'a document')
  })

  it('name only scripts that package.json has', () => {
    const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> }
    const named = written.flatMap((path) => [...textOf(path).matchAll(/npm run (?:--silent |-s )?([\w:]+)/g)])
      .map(([, name = '']) => name)
    assert.ok(named.includes('demo') && named.includes('compare'))
    assert.deepEqual(named.filter((name) => !(name in scripts)), [])
  })

  it('show the embedding agent as it is in peers', () => {
    const peer = textOf('peers/agent.ts').replace('\'../src/index.ts\'', '\'pagemesh\'')
    assert.ok(blocksOf(textOf(INSIDE), 'ts').includes(peer))
  })

  it('link to what is there', () => {
    const broken = documents.flatMap((path) => linksOf(textOf(path)).flatMap((link) => brokenLink(path, link) ?? []))
    assert.deepEqual(broken, [])
    assert.match(brokenLink(README, 'nowhere.md')!, /no such file/)
    assert.match(brokenLink(README, `${RUNNING}#nowhere`)!, /no such place/)
    const found = new Set([README])
    for (const path of found) for (const linked of linkedFrom(path)) if (written.includes(linked)) found.add(linked)
    assert.deepEqual(written.filter((path) => !found.has(path)), [], 'links should lead from README.md to every page')
  })

  it(`have at most ${COLUMNS_MAX} characters a line, but for tables`, () => {
    const long = written.flatMap((path) => textOf(path).split('\n').flatMap((line, index) =>
      line.length > COLUMNS_MAX && !line.startsWith('| ') ? [`${path}:${index + 1}: ${line.length}`] : []))
    assert.deepEqual(long, [])
  })
})
