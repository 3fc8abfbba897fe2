import { lstat, mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'

import { writeWholeFile } from '../host/wholefile.ts'
import { PIN_LIMITS, type NamePin, type NamePins } from '../mesh/index.ts'
import { describeError, PagemeshError, systemErrorCode } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { parseJson } from '../text/json.ts'

/** A pin takes some 150 bytes. */
const FILE_BYTES_MAX = 2 ** 20
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/
const PEER_ID = /^[A-Za-z0-9]{1,96}$/

/** The identity that each name belongs to, in a file that is replaced atomically. */
export class PinFile {
  readonly #log: Log
  readonly #path: string
  readonly #pins: NamePins
  #writing: Promise<void> = Promise.resolve()
  #isWaiting = false

  constructor(components: { log: Log; pins: NamePins }, init: { path: string }) {
    this.#log = components.log
    this.#pins = components.pins
    this.#path = init.path
  }

  /** Reads the pins, and from then on writes each change to the file. Throws PagemeshError `pins-unusable`. */
  async start(): Promise<void> {
    this.#pins.load(await this.#read())
    this.#pins.onChange = () => this.#write()
  }

  /** Resolves when all pins are written. Never rejects. */
  async stop(): Promise<void> {
    this.#pins.onChange = () => {}
    await this.#writing
  }

  async #read(): Promise<NamePin[]> {
    let text: string
    try {
      const file = await lstat(this.#path)
      if (!file.isFile() || file.size > FILE_BYTES_MAX) throw unusable(this.#path, 'it is not a file of identities')
      text = await readFile(this.#path, 'utf8')
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return []
      throw error instanceof PagemeshError ? error : unusable(this.#path, describeError(error), error)
    }
    const pins = parsePins(text)
    if (pins === undefined) throw unusable(this.#path, 'it is damaged')
    return pins
  }

  /** One write at a time; each writes the pins of its moment. */
  #write(): void {
    if (this.#isWaiting) return
    this.#isWaiting = true
    this.#writing = this.#writing.then(async () => {
      this.#isWaiting = false
      try {
        await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 })
        await writeWholeFile(this.#path, `${JSON.stringify({ version: 1, pins: this.#pins.pins() })}\n`)
      } catch (error) {
        this.#log.error('the identities of hosts cannot be written', { path: this.#path, error: describeError(error) })
      }
    })
  }
}

/** Undefined if the text is not a file of pins. Pure. */
export function parsePins(text: string): NamePin[] | undefined {
  const { version, pins } = (parseJson(text) ?? {}) as Record<string, unknown>
  if (version !== 1 || !Array.isArray(pins) || pins.length > PIN_LIMITS.pins) return undefined
  const isPin = (pin: unknown): pin is NamePin => {
    if (typeof pin !== 'object' || pin === null) return false
    const { name, peerId, since } = pin as Record<string, unknown>
    const isNamed = typeof name === 'string' && NAME.test(name) && typeof peerId === 'string' && PEER_ID.test(peerId)
    return isNamed && typeof since === 'number' && Number.isFinite(since)
  }
  return pins.every(isPin) ? pins : undefined
}

function unusable(path: string, why: string, cause?: unknown): PagemeshError {
  const what = `The file of hosts' identities, ${path}, cannot be used: ${why}.`
  return new PagemeshError('pins-unusable', what, {
    fault: 'host', phase: 'start', data: { path }, ...(cause === undefined ? {} : { cause }),
    advice: 'Restore the file. Or remove it: then each name belongs to the first host that shows up under it, ' +
      'so look at `pagemesh peers` afterwards.',
  })
}
