/** Help, manual pages and completion say the same: what `--help` prints is what the others are held against. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { parseConfig } from '../../../src/daemon/index.ts'
import { OPTIONS } from '../../../src/index.ts'
import { COMMAND_MS_MAX, pagemesh } from '../../support/pagemesh.ts'

const TEXTS = join(import.meta.dirname, '../../../src/debian/texts.ts')
const BASH = 'usr/share/bash-completion/completions/pagemesh'
const FISH = 'usr/share/fish/vendor_completions.d/pagemesh.fish'
const ZSH = 'usr/share/zsh/vendor-completions/_pagemesh'
const run = promisify(execFile)

/** As a command's help lists them. */
interface Listed {
  words: string[]
  commands: string[]
  /** `-V, --version`, `--to <host>`. */
  options: string[]
}

describe('the texts of the Debian package', function () {
  this.timeout(4 * COMMAND_MS_MAX)
  let root = ''
  let listed: Listed[]

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'texts-'))
    await run(process.execPath, [TEXTS, root])
    listed = await listCommands([])
  })

  after(() => rm(root, { recursive: true }))

  it('are about commands that the help has', () => {
    const names = listed.map(({ words }) => words.join(' '))
    assert.ok(['', 'agent', 'migrate', 'peers accept'].every((name) => names.includes(name)))
    assert.ok(listed.every(({ options }) => options.includes('-h, --help')))
  })

  it('are manual pages that have each command and each option', async () => {
    for (const { words, commands, options } of listed) {
      const page = await text(`usr/share/man/man1/${['pagemesh', ...words].join('-')}.1`)
      const terms = [...page.matchAll(/^\.TP\n\.B (.*)$/gm)].map(([, term = '']) => term.replaceAll('\\-', '-'))
      const named = terms.filter((term) => !term.startsWith('-')).map((term) => term.split(' ').at(words.length))
      assert.deepEqual(named, commands)
      assert.deepEqual(terms.filter((term) => term.startsWith('-')), options)
      assert.match(page, /^\.SH NAME\npagemesh\S* \\- \w/m)
      assert.match(page, /^\.SH EXIT STATUS\n0 done, /m)
    }
  })

  it('are manual pages that their reader takes as they are', async function () {
    const page = join(root, 'usr/share/man/man1/pagemesh-migrate.1')
    const { stderr } = await run('groff', ['-man', '-ww', '-Tutf8', '-z', page]).catch((error: unknown) => {
      if ((error as { code: unknown }).code !== 'ENOENT') throw error
      console.log('      missing here: groff')
      return this.skip()
    })
    assert.equal(stderr, '')
  })

  it('are a completion for bash that offers each command and each option, and no other', async () => {
    for (const { words, commands, options } of listed) {
      const offered = await complete(...words, '')
      const takesFile = ['keygen', 'bugreport', 'keys install'].includes(words.join(' '))
      assert.deepEqual(offered.filter((word) => !word.startsWith('-')), takesFile ? ['here.key'] : commands)
      assert.deepEqual((await complete(...words, '-')).sort(), options.flatMap(formsOf).sort())
    }
  })

  it('are a completion for bash that knows what follows an option', async () => {
    assert.deepEqual(await complete('migrate', 'web', '--mode', 'p'), ['precopy', 'postcopy'])
    assert.deepEqual(await complete('agent', '--config', 'here'), ['here.key'])
    assert.deepEqual(await complete('migrate', '--to', ''), [])
    assert.deepEqual(await complete('mi'), ['migrate'])
    assert.deepEqual(await complete('peers', 'accept', 'host-b', '--peer'), ['--peer-id'])
  })

  it('are completions for zsh and fish that name each command and each option', async () => {
    const [zsh, fish] = [await text(ZSH), await text(FISH)]
    for (const { words, commands, options } of listed) {
      const name = ['_pagemesh', ...words].join('_')
      const body = new RegExp(`^${name}\\(\\) \\{\n([^]*?)\n\\}$`, 'm').exec(zsh)![1]!
      for (const name of commands) assert.match(body, new RegExp(`^ +'${name}:\\w`, 'm'))
      const condition = words.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ')
      const lines = fish.split('\n').filter((line) => line.startsWith(`complete -c pagemesh -n '${condition}`))
      for (const name of commands) assert.ok(lines.some((line) => line.includes(` -a ${name} `)), `${name} in fish`)
      for (const form of options.flatMap(formsOf)) {
        assert.ok(body.includes(` '${form}[`), `${form} of ${words.join(' ')} in zsh`)
        const flag = form.startsWith('--') ? ` -l ${form.slice(2)} ` : ` -s ${form.slice(1)} `
        assert.ok(lines.some((line) => line.includes(flag)), `${form} of ${words.join(' ')} in fish`)
      }
    }
  })

  it('are a configuration that sets nothing, and sets every key to what an agent takes without its marks', async () => {
    const sample = await text('etc/pagemesh/agent.yaml')
    assert.deepEqual(sample.split('\n').filter((line) => !/^(#|$)/.test(line)), [])
    // A sentence begins with a mark and one space.
    const yaml = sample.replace(/^# \S.*$/gm, '').replace(/^#/gm, '')
    for (const { key } of OPTIONS) assert.match(yaml, new RegExp(`^ *${key.split('.').at(-1)}: \\S`, 'm'))
    const { agentOptions, http } = parseConfig(yaml, 'agent.yaml')
    const byDefault = parseConfig('{name: host-a, clusterKey: /etc/pagemesh/cluster.key}', 'agent.yaml').agentOptions
    for (const { key } of OPTIONS.filter((option) => option.default !== undefined && option.key !== 'control')) {
      assert.deepEqual(valueOf(agentOptions, key), valueOf(byDefault, key), key)
    }
    assert.deepEqual([agentOptions.guests, http], [['/run/vms/*.qmp'], '127.0.0.1:9464'])
  })

  function text(path: string): Promise<string> {
    return readFile(join(root, path), 'utf8')
  }

  /** What bash offers for the last of the words. */
  async function complete(...words: string[]): Promise<string[]> {
    const script = `source "$0"; compopt() { :; }; : >here.key
      COMP_WORDS=(pagemesh "$@"); COMP_CWORD=$#; _pagemesh; printf '%s\\n' "\${COMPREPLY[@]}"`
    const folder = await mkdtemp(join(root, 'folder-'))
    const { stdout } = await run('bash', ['-c', script, join(root, BASH), ...words], { cwd: folder })
    return stdout.split('\n').filter((word) => word !== '')
  }
})

function formsOf(flags: string): string[] {
  return flags.replace(/ <.*/, '').split(', ')
}

function valueOf(options: object, key: string): unknown {
  const [first = '', second] = key.split('.')
  const value = (options as Record<string, unknown>)[first]
  return second === undefined ? value : (value as Record<string, unknown>)[second]
}

/** What a command's help and those of all below it list. */
async function listCommands(words: string[]): Promise<Listed[]> {
  const { stdout } = await pagemesh(...words, '--help')
  const section = (name: string): string => new RegExp(`^${name}:\\n((?: .*\\n)+)`, 'm').exec(stdout)?.[1] ?? ''
  const commands = [...section('Commands').matchAll(/^ {2}(\w+)/gm)].map(([, name = '']) => name)
    .filter((name) => name !== 'help')
  const options = [...section('Options').matchAll(/^ {2}(-.*?)(?: {2}|$)/gm)].map(([, flags = '']) => flags)
  const below = await Promise.all(commands.map((name) => listCommands([...words, name])))
  return [{ words, commands, options }, ...below.flat()]
}
