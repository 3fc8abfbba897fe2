import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'

/** What a fake QEMU answers to a command: a value to return, or an error to report. */
export type Answer = { value: unknown } | { errorClass: string; description: string } | 'silence'

/** Something that speaks as much QMP as a test needs, at a UNIX socket. One client at a time, as QEMU does. */
export class FakeQemu {
  readonly #server: Server
  readonly #clients = new Set<Socket>()
  readonly #waiting: Socket[] = []
  #served: Socket | undefined
  /** Commands that came, in order. */
  readonly commands: string[] = []
  answer: (command: string, args: Record<string, unknown>) => Answer = () => ({ value: {} })
  greeting = '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": []}}\r\n'

  private constructor() {
    this.#server = createServer((client) => this.#accept(client))
  }

  static async listen(path: string): Promise<FakeQemu> {
    const fake = new FakeQemu()
    fake.#server.listen(path)
    await once(fake.#server, 'listening')
    return fake
  }

  /** Sends raw text to the client that is being served. */
  say(text: string): void {
    this.#served?.write(text)
  }

  /** Hangs up on everybody, and goes on listening. */
  hangUp(): void {
    for (const client of this.#clients) client.destroy()
  }

  async close(): Promise<void> {
    this.hangUp()
    if (!this.#server.listening) return
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(client: Socket): void {
    this.#clients.add(client)
    client.on('error', () => {})
    client.on('close', () => {
      this.#clients.delete(client)
      const place = this.#waiting.indexOf(client)
      if (place >= 0) this.#waiting.splice(place, 1)
      if (this.#served !== client) return
      this.#served = undefined
      this.#serveNext()
    })
    this.#waiting.push(client)
    this.#serveNext()
  }

  #serveNext(): void {
    if (this.#served !== undefined) return
    const client = this.#waiting.shift()
    if (client === undefined) return
    this.#served = client
    client.write(this.greeting)
    let rest = ''
    client.on('data', (bytes) => {
      const lines = (rest + bytes.toString()).split('\n')
      rest = lines.pop()!
      for (const line of lines) this.#reply(client, JSON.parse(line) as Command)
    })
  }

  #reply(client: Socket, { execute, arguments: args, id }: Command): void {
    this.commands.push(execute)
    const answer: Answer = execute === 'qmp_capabilities' ? { value: {} } : this.answer(execute, args)
    if (answer === 'silence') return
    const reply = 'value' in answer
      ? { return: answer.value, id }
      : { error: { class: answer.errorClass, desc: answer.description }, id }
    client.write(`${JSON.stringify(reply)}\r\n`)
  }
}

interface Command {
  execute: string
  arguments: Record<string, unknown>
  id: number
}
