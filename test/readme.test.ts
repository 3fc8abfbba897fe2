import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { OPTIONS } from '../src/index.ts'
import { parseConfig } from '../src/daemon/index.ts'
import { commandTable, configTable } from './readme/tables.ts'
import { COMMAND_MS_MAX, pagemesh } from './unit/cli/pagemesh.ts'

const REPOSITORY = join(import.meta.dirname, '..')

describe('README.md', function () {
  this.timeout(COMMAND_MS_MAX)
  let readme = ''

  /** The code blocks of one language. */
  const blocks = (language: string): string[] =>
    [...readme.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map(([, code = '']) => code)

  before(async () => { readme = await readFile(join(REPOSITORY, 'README.md'), 'utf8') })

  it('has the configuration table of the options', () => {
    const table = configTable(OPTIONS)
    assert.ok(readme.includes(`\n${table}\n`), `README.md should have:\n\n${table}\n`)
  })

  it('has the commands that the help has, and no other', async () => {
    const table = commandTable((await pagemesh('--help')).stdout)
    assert.ok(readme.includes(`\n${table}\n`), `README.md should have:\n\n${table}\n`)
    const known = [...table.matchAll(/`pagemesh (\w+)/g)].map(([, name]) => name)
    const used = [...blocks('sh').join('').matchAll(/^pagemesh (\w+)/gm)].map(([, name]) => name)
    assert.ok(used.length > 0)
    assert.deepEqual(used.filter((name) => !known.includes(name)), [])
  })

  it('names only flags of `migrate` that it has', async () => {
    const { stdout } = await pagemesh('migrate', '--help')
    const flags = blocks('sh').join('').split('\n').filter((line) => line.startsWith('pagemesh migrate'))
      .flatMap((line) => line.replace(/#.*/, '').match(/--[a-z-]+/g) ?? [])
    assert.ok(flags.length > 0)
    assert.deepEqual(flags.filter((flag) => !stdout.includes(`${flag} `)), [])
  })

  it('has a configuration that an agent takes', () => {
    const [yaml = ''] = blocks('yaml')
    assert.equal(parseConfig(yaml, 'README.md').agentOptions.name, 'host-a')
  })

  it('has two commands that package.json has', async () => {
    const { scripts } = JSON.parse(await readFile(join(REPOSITORY, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>
    }
    const commands = blocks('sh').flatMap((code) => /^npm ci && npm (?:run )?(\w+)\n$/.exec(code)?.[1] ?? [])
    assert.deepEqual(commands, ['demo', 'test'])
    assert.ok(commands.every((name) => name in scripts))
  })

  it('shows the embedding agent as it is in peers', async () => {
    const peer = await readFile(join(REPOSITORY, 'peers', 'agent.ts'), 'utf8')
    assert.ok(blocks('ts').includes(peer.replace('\'../src/index.ts\'', '\'pagemesh\'')))
  })
})
