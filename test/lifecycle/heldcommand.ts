import { connect, createServer, type Socket } from 'node:net'

import { runCli, type CommandOutcome, type LabHost } from '../../testnet/index.ts'

/**
 * A `pagemesh` command that takes effect at an exact moment. Starting a program takes some hundred milliseconds,
 * sometimes twice that; so it is started before, with a control socket of ours, and its request is held back until
 * `release`.
 */
export class HeldCommand {
  /** Resolves when the command has sent its request, or has ended without one. */
  readonly ready: Promise<unknown>
  readonly outcome: Promise<CommandOutcome>
  readonly #control: string
  readonly #asked: Promise<{ socket: Socket; said: Buffer }>

  /**
   * @param control the agent's control socket
   * @param path path for our socket
   */
  static async start(host: LabHost, control: string, path: string, words: readonly string[]): Promise<HeldCommand> {
    const server = createServer({ allowHalfOpen: true })
    const asked = new Promise<{ socket: Socket; said: Buffer }>((resolve) => server.once('connection', (socket) => {
      // The command may end first, which breaks its socket: its outcome tells all.
      socket.on('error', () => {})
      socket.once('data', (said: Buffer) => {
        socket.pause()
        resolve({ socket, said })
      })
    }))
    await new Promise<void>((resolve) => server.listen(path, resolve))
    const outcome = runCli(host, [...words, '--control', path])
    void outcome.then(() => server.close())
    return new HeldCommand(control, asked, outcome)
  }

  private constructor(
    control: string, asked: Promise<{ socket: Socket; said: Buffer }>, outcome: Promise<CommandOutcome>,
  ) {
    this.#control = control
    this.#asked = asked
    this.outcome = outcome
    this.ready = Promise.race([asked, outcome])
  }

  /** Passes the request to the agent now; returns the time, milliseconds since 1970. */
  release(): number {
    void this.#asked.then(({ socket, said }) => {
      const agent = connect(this.#control)
      // Some tests kill the agent: the command's connection then ends as it would without us.
      agent.on('error', () => socket.destroy())
      agent.write(said)
      socket.pipe(agent)
      agent.pipe(socket)
    })
    return Date.now()
  }
}
