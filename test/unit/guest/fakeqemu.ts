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
  /** Those of them that came out of band. */
  readonly outOfBand: string[] = []
  /** How many have connected so far. */
  connectionCount = 0
  /** What the last client enabled when it greeted. */
  enabled: unknown = undefined
  answer: (command: string, args: Record<string, unknown>) => Answer | Promise<Answer> = () => ({ value: {} })
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

  /** How many are connected, served or not. */
  get clientCount(): number {
    return this.#clients.size
  }

  /** Sends raw text to the client that is being served. */
  say(text: string): void {
    this.#served?.write(text)
  }

  event(name: string, data: Record<string, unknown> = {}): void {
    this.say(`${JSON.stringify({ event: name, data })}\r\n`)
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
    this.connectionCount += 1
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
      // Each is answered, or is not; nothing else can become of it.
      for (const line of lines) void this.#reply(client, JSON.parse(line) as Command)
    })
  }

  async #reply(client: Socket, words: Command): Promise<void> {
    const { arguments: args, id } = words
    const command = (words.execute ?? words['exec-oob'])!
    this.commands.push(command)
    if (words.execute === undefined) this.outOfBand.push(command)
    if (command === 'qmp_capabilities') this.enabled = args['enable']
    const answer: Answer = command === 'qmp_capabilities' ? { value: {} } : await this.answer(command, args)
    if (answer === 'silence') return
    const reply = 'value' in answer
      ? { return: answer.value, id }
      : { error: { class: answer.errorClass, desc: answer.description }, id }
    client.write(`${JSON.stringify(reply)}\r\n`)
  }
}

interface Command {
  execute?: string
  'exec-oob'?: string
  arguments: Record<string, unknown>
  id: number
}
