import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import type { LabAgent } from '../../testnet/index.ts'

/**
 * Run on the agent's host: opens the agent's inspector, which lists its threads, and ends a passage thread at the first
 * input on standard input. Exit status: 0 a thread was ended, 3 there was none.
 */
const KILLER = `
  const pid = Number(process.argv[1])
  process.kill(pid, 'SIGUSR1')
  let target
  while (target === undefined) {
    const answer = await fetch('http://127.0.0.1:9229/json/list').catch(() => undefined)
    target = (await answer?.json())?.[0]
    if (target === undefined) await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const socket = new WebSocket(target.webSocketDebuggerUrl)
  const threads = []
  let lastId = 0
  let struck
  const say = (method, params) => socket.send(JSON.stringify({ id: ++lastId, method, params }))
  socket.onmessage = ({ data }) => {
    const { id, method, params } = JSON.parse(data)
    if (method === 'NodeWorker.attachedToWorker' && params.workerInfo.title.endsWith(' passage')) {
      threads.push(params.sessionId)
    }
    if (method === 'NodeWorker.detachedFromWorker' && params.sessionId === struck) process.exit(0)
    if (id === 1) process.stdout.write('ready')
  }
  socket.onopen = () => say('NodeWorker.enable', { waitForDebuggerOnStart: false })
  process.stdin.once('data', () => {
    struck = threads.at(-1)
    if (struck === undefined) process.exit(3)
    const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression: 'process.exit(1)' } })
    say('NodeWorker.sendMessageToWorker', { sessionId: struck, message })
  })
`

/** Prepared to end a passage thread of an agent. */
export class ThreadKill {
  readonly #killer: ChildProcess

  static async ready({ host, pid }: LabAgent): Promise<ThreadKill> {
    const words = [process.execPath, '--input-type=module', '-e', KILLER, String(pid)]
    const [program = '', ...args] = [...host.exec, ...words]
    const killer = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    await Promise.race([once(killer.stdout, 'data'), once(killer, 'exit').then(() => {
      throw new Error(`the threads of ${pid} are not seen`)
    })])
    return new ThreadKill(killer)
  }

  private constructor(killer: ChildProcess) {
    this.#killer = killer
  }

  /** Ends the thread that was started last; resolves to whether there was one. */
  async strike(): Promise<boolean> {
    this.#killer.stdin!.write('x')
    const [status] = await once(this.#killer, 'exit') as [number]
    return status === 0
  }

  stop(): void {
    this.#killer.kill()
  }
}
