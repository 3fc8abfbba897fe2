/**
 * QMP as lines of bytes: pure, no I/O.
 *
 *   greeting = {"QMP": {"version": {"qemu": {major, minor, micro}}, "capabilities": [...]}}  once, before anything else
 *   reply    = {"return": value, "id": n} | {"error": {"class": c, "desc": d}, "id": n}
 *   event    = {"event": name, "data": {...}, "timestamp": {...}}
 *
 * Each is one JSON object on one line that ends in CR LF. With `pretty=on` it spans several: the first is `{`, the last
 * `}`, and those between are indented.
 */
import { LineCutter } from '../bytes/linecutter.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { asCount, asList, asRecord, asText } from './qmpvalue.ts'

const QMP_LIMITS = {
  /** `info mtree -f` of a guest with a hundred devices is one line of a few hundred kB. */
  lineBytesMax: 16 * 1024 * 1024,
}

export interface QemuVersion {
  major: number
  minor: number
  micro: number
}

export type QmpMessage =
  | { kind: 'greeting'; version: QemuVersion; offersOutOfBand: boolean }
  | { kind: 'return'; id: number; value: unknown }
  | { kind: 'error'; id: number; errorClass: string; description: string }
  | { kind: 'event'; name: string; data: Record<string, unknown> }

const NO_ID = -1
/** Memory that a line of a message takes besides its characters, at least: a line end and a place in a list. */
const LINE_OVERHEAD_BYTES = 10

/** Cuts arriving bytes into messages. After `qmp-garbled` it must not be used. */
export class QmpCutter {
  readonly #bytesMax: number
  readonly #lines: LineCutter
  /** Lines of a message of several that is not complete. */
  #begun: string[] = []
  #begunBytes = 0

  /** @param bytesMax length of the longest accepted message; of several lines, each counts a little more. */
  constructor(bytesMax: number = QMP_LIMITS.lineBytesMax) {
    this.#bytesMax = bytesMax
    this.#lines = new LineCutter(bytesMax)
  }

  /** The messages that `bytes` completes. */
  push(bytes: Buffer): QmpMessage[] {
    const lines = this.#lines.push(bytes)
    if (lines === 'too-long') throw tooLong()
    return lines.map((line) => this.#complete(line.trimEnd())).filter((text) => text !== '').map(parseQmpLine)
  }

  /** The text of the message that ends with this line; empty if none does. */
  #complete(line: string): string {
    if (this.#begun.length === 0 && line !== '{') return line
    this.#begun.push(line)
    // An empty line takes memory, too.
    this.#begunBytes += line.length + LINE_OVERHEAD_BYTES
    if (this.#begunBytes > this.#bytesMax) throw tooLong()
    if (line !== '}') return ''
    const text = this.#begun.join('\n')
    this.#begun = []
    this.#begunBytes = 0
    return text
  }
}

/** Parses one message. Throws `qmp-garbled` if it is no QMP message. */
export function parseQmpLine(line: string): QmpMessage {
  const message = asRecord(parseJson(line))
  if ('QMP' in message) {
    const greeting = asRecord(message['QMP'])
    const offersOutOfBand = asList(greeting['capabilities']).includes('oob')
    return { kind: 'greeting', version: parseVersion(greeting), offersOutOfBand }
  }
  if ('return' in message) return { kind: 'return', id: asCount(message['id'], NO_ID), value: message['return'] }
  if ('error' in message) {
    const error = asRecord(message['error'])
    return {
      kind: 'error', id: asCount(message['id'], NO_ID),
      errorClass: asText(error['class']), description: asText(error['desc']),
    }
  }
  if ('event' in message) return { kind: 'event', name: asText(message['event']), data: asRecord(message['data']) }
  throw garbled('an object is neither greeting, reply nor event')
}

/** `outOfBand`: QEMU runs it at once, beside blocked commands; only if QEMU offers it, and only few commands. */
export function formatQmpCommand(
  id: number, command: string, args: Record<string, unknown>, outOfBand = false,
): string {
  return `${JSON.stringify({ [outOfBand ? 'exec-oob' : 'execute']: command, arguments: args, id })}\n`
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw garbled('a line is not JSON', cause)
  }
}

function parseVersion(greeting: Record<string, unknown>): QemuVersion {
  const version = asRecord(asRecord(greeting['version'])['qemu'])
  return { major: asCount(version['major']), minor: asCount(version['minor']), micro: asCount(version['micro']) }
}

function tooLong(): PagemeshError {
  return garbled('a message is longer than any of QEMU\'s')
}

function garbled(why: string, cause?: unknown): PagemeshError {
  return new PagemeshError('qmp-garbled', `The socket does not speak QMP: ${why}.`, {
    fault: 'guest',
    advice: 'Check that the socket belongs to QEMU\'s -qmp, and not to its human monitor or to another program.',
    cause,
  })
}
