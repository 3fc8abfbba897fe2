import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Command } from 'commander'

import { createProgram } from '../../../src/cli/program.ts'
import { encodeToken } from '../../../src/mesh/invitation/token.ts'
import { progressOf } from '../../support/fakeagent.ts'
import { COMMAND_MS_MAX, pagemesh, RunningCommand, type Finished } from '../../support/pagemesh.ts'

const KEY_ID = '0123456789abcdef'
const TOKEN = encodeToken({ id: 'ab'.repeat(16), secret: new Uint8Array(32).fill(1), mark: new Uint8Array(16) })

/** A command line of each command that has --json and talks to the agent. */
const ASKING: Record<string, string[]> = {
  invite: ['invite'], status: ['status'], pages: ['pages'], migrate: ['migrate', 'web-1', '--to', 'host-b'],
  evacuate: ['evacuate'], cancel: ['cancel', 'web-1'], recover: ['recover', 'web-1'],
  settle: ['settle', 'web-1', '--run'], history: ['history'], peers: ['peers'],
  'peers accept': ['peers', 'accept', 'host-b'], keys: ['keys'], 'keys use': ['keys', 'use', KEY_ID],
  'keys remove': ['keys', 'remove', KEY_ID], tunnel: ['tunnel', '--to', 'host-b', '--path', '/run/t.sock'],
}
/** Other forms of them. */
const MORE = [
  ['status', '--cluster'], ['history', '--audit'], ['migrate', 'web-1', '--to', 'host-b', '--dry-run'],
  ['evacuate', '--dry-run'],
]
/** The commands that have --json and do their work, or begin it, without an agent. */
const ALONE = ['doctor', 'bugreport', 'join', 'keys install']

/** Every command that takes --json, by its words. */
function withJson(command: Command, words: readonly string[] = []): string[] {
  const own = command.options.some(({ long }) => long === '--json') ? [words.join(' ')] : []
  return [...own, ...command.commands.flatMap((child) => withJson(child, [...words, child.name()]))]
}

/** What stands on standard output, which is one JSON object on one line. */
function objectOf({ stdout }: Finished): Record<string, unknown> {
  assert.match(stdout, /^\{.*\}\n$/)
  return JSON.parse(stdout) as Record<string, unknown>
}

/** The code that the command failed with; what fails without a result has it in `error`. */
function codeOf(finished: Finished, about: string): unknown {
  const { error, code, reason } = objectOf(finished)
  const { code: own, message } = (error ?? { code, message: reason }) as { code: unknown; message: unknown }
  assert.ok(typeof message === 'string' && message !== '', about)
  return own
}

describe('--json of a command that fails', function () {
  this.timeout(COMMAND_MS_MAX)
  let folder: string
  const servers: Server[] = []

  beforeEach(async () => { folder = await mkdtemp(join(tmpdir(), 'json-')) })

  afterEach(async () => {
    for (const server of servers.splice(0)) server.close()
    await rm(folder, { recursive: true })
  })

  /** Answers each request at a new socket with this text, and hangs up if there is none; returns the path. */
  async function serve(text: string): Promise<string> {
    const path = join(folder, `${servers.length}.sock`)
    const server = createServer((socket) => {
      socket.on('error', () => {}).once('data', () => {
        if (text === '') socket.end()
        else socket.write(text)
      })
    })
    servers.push(server)
    await new Promise<void>((resolve) => { server.listen(path, resolve) })
    return path
  }

  async function failsWith(code: string, words: readonly string[], path: string): Promise<void> {
    const about = `${words.join(' ')}: ${code}`
    const finished = await pagemesh(...words, '--json', '--control', path)
    assert.equal(codeOf(finished, about), code, about)
    assert.equal(finished.status, 1, about)
    assert.notEqual(finished.stderr, '', about)
  }

  it('is tried here of every command that has it', () => {
    assert.deepEqual(withJson(createProgram()).sort(), [...Object.keys(ASKING), ...ALONE].sort())
  })

  for (const words of [...Object.values(ASKING), ...MORE]) {
    it(`is one object of ${words.join(' ')} where the agent refuses, and where it ends`, async () => {
      const error = { code: 'no-hosts', message: 'This host sees no other.', advice: 'Look there.', fault: 'usage' }
      const refusing = await serve(`${JSON.stringify({ error })}\n`)
      await Promise.all([failsWith('no-hosts', words, refusing), failsWith('agent-ended', words, await serve(''))])
    })
  }

  for (const words of [ASKING['status']!, ASKING['migrate']!, ASKING['evacuate']!]) {
    it(`is one object of ${words[0]} without an agent, and where something else answers`, async () => {
      const other = await serve('220 mail.example.org\n')
      const none = join(folder, 'none.sock')
      await Promise.all([failsWith('no-agent', words, none), failsWith('bad-answer', words, other)])
    })
  }

  for (const words of [ASKING['migrate']!, ASKING['evacuate']!]) {
    it(`is one object when the second Ctrl-C ends the wait of ${words[0]}`, async () => {
      const path = await serve(`${JSON.stringify({ progress: progressOf({ guest: 'web-1', to: 'host-b' }) })}\n`)
      const command = new RunningCommand([...words, '--json', '--control', path])
      await command.saysOnStderr(/precopy|web-1 ->/)
      command.process.kill('SIGINT')
      await command.saysOnStderr(/Waiting for/)
      command.process.kill('SIGINT')
      const finished = await command.finished
      assert.equal(codeOf(finished, words[0]!), 'cancelled')
      // Nobody knows yet what becomes of the guest.
      assert.equal('status' in objectOf(finished), false)
      assert.equal(finished.status, 130)
    })
  }

  it('is one object of join, where nobody answers, and of a token that is none', async () => {
    const config = ['--config', join(folder, 'agent.yaml'), '--json']
    const unreachable = await pagemesh('join', '127.0.0.1:1', TOKEN, ...config)
    assert.deepEqual([codeOf(unreachable, 'join'), unreachable.status], ['join-unreachable', 1])
    const malformed = await pagemesh('join', '127.0.0.1:1', 'none', ...config)
    assert.deepEqual([codeOf(malformed, 'join'), malformed.status], ['token-malformed', 2])
  })

  it('is one object of bugreport that cannot write, and of a doctor without agent and configuration', async () => {
    const config = ['--config', join(folder, 'agent.yaml'), '--json']
    const unwritten = await pagemesh('bugreport', join(folder, 'none', 'report.tar.gz'), ...config)
    assert.deepEqual([codeOf(unwritten, 'bugreport'), unwritten.status], ['file-unusable', 1])
    const examined = await pagemesh('doctor', ...config)
    assert.ok(Array.isArray(objectOf(examined)['checks']))
    assert.equal(examined.status, 1)
  })

  it('is one object of keys install, where there is no such file', async () => {
    const finished = await pagemesh('keys', 'install', join(folder, 'none.key'), '--json')
    assert.deepEqual([codeOf(finished, 'keys install'), finished.status], ['key-missing', 1])
  })

  it('is nothing at all where the words are wrong', async () => {
    for (const words of [['evacuate', '--parallel', '0'], ['migrate', 'web-1'], ['history', '--top', '201']]) {
      const { status, stdout, stderr } = await pagemesh(...words, '--json')
      assert.deepEqual([status, stdout], [2, ''], words.join(' '))
      assert.notEqual(stderr, '')
    }
  })
})
