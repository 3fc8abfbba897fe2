import {
  parseDialRule, readTenants, TENANTS_EXPECTED, type AcceptRule, type OptionInfo, type OptionValue,
} from '../index.ts'
import { parseHostPort, parseTcpMultiaddr } from '../net/hostport.ts'
import { doOverlap, parsePortRange, UNPRIVILEGED_PORT_MIN } from '../net/portranges.ts'
import { parseBytes, parseRate } from '../text/units.ts'

/** Either the value, or what the file should have said: a text to follow "expected". */
export type ReadValue = { value: OptionValue } | { expected: string }

/** No manager needs more ranges. */
const PORT_RANGES_MAX = 32

interface TextFormat {
  expected: string
  fits(text: string): boolean
}

const MULTIADDR: TextFormat = {
  expected: 'a multiaddr such as /ip4/10.0.0.1/tcp/4001, /ip6/fd00::1/tcp/4001 or /dns/host-b/tcp/4001',
  fits: (text) => parseTcpMultiaddr(text) !== undefined,
}
const HOST_PORT: TextFormat = {
  expected: 'host:port such as 10.0.0.1:4002, or [fd00::1]:4002',
  fits: (text) => parseHostPort(text) !== undefined,
}
const DIAL_RULE: TextFormat = {
  expected: 'a path such as /run/vms/*.sock, or 10.0.0.2:8102, or 127.0.0.1:49152-49215',
  fits: (text) => parseDialRule(text) !== undefined,
}
const ANY_TEXT: TextFormat = { expected: 'some text', fits: (text) => text.trim() !== '' && !text.includes('\0') }

/** Checks one option of the file against the options table. Pure. */
export function readOptionValue(option: OptionInfo, written: unknown): ReadValue {
  switch (option.kind) {
    case 'text':
      return readText(ANY_TEXT, written)
    case 'hostPort':
      return readText(HOST_PORT, written)
    case 'textList':
      return readTextList(ANY_TEXT, written)
    case 'multiaddrList':
      return readTextList(MULTIADDR, written)
    case 'portRanges':
      return readPortRanges(written)
    case 'dialRules':
      return readTextList(DIAL_RULE, written)
    case 'acceptRules':
      return readAcceptRules(written)
    case 'tenants': {
      const value = readTenants(written)
      return value === undefined ? { expected: TENANTS_EXPECTED } : { value }
    }
    case 'count':
      return withinBounds(option, typeof written === 'number' ? written : undefined, 'a whole number', '')
    case 'autoCount':
      if (written === 'auto') return { value: written }
      return withinBounds(option, typeof written === 'number' ? written : undefined, 'auto or a whole number', '')
    case 'bytes':
      return withinBounds(option, bytesOf(written), 'a size such as 512MiB or 2GiB', ' bytes')
    case 'rate':
      return withinBounds(option, rateOf(written), 'a rate such as 100Mbit or 50MB/s', ' bytes a second')
    case 'switch':
      return typeof written === 'boolean' ? { value: written } : { expected: 'true or false' }
    case 'choice':
      return readChoice(option, written)
  }
}

function readText(format: TextFormat, written: unknown): ReadValue {
  return typeof written === 'string' && format.fits(written) ? { value: written } : { expected: format.expected }
}

function readTextList(format: TextFormat, written: unknown): ReadValue {
  if (!Array.isArray(written)) return { expected: `a list in brackets, each of it ${format.expected}` }
  const texts = written.filter((item): item is string => typeof item === 'string' && format.fits(item))
  if (texts.length === written.length) return { value: texts }
  const wrong: unknown = written.find((item) => typeof item !== 'string' || !format.fits(item))
  return { expected: `each of the list to be ${format.expected}, unlike ${JSON.stringify(wrong)}` }
}

function readPortRanges(written: unknown): ReadValue {
  const expected = `a list of at most ${PORT_RANGES_MAX} ports or ranges such as [49152-49215, 8102], from ` +
    `${UNPRIVILEGED_PORT_MIN} to 65535, each port once`
  if (!Array.isArray(written) || written.length > PORT_RANGES_MAX) return { expected }
  const ranges = written.flatMap((item) => parsePortRange(item) ?? [])
  return ranges.length < written.length || doOverlap(ranges) ? { expected } : { value: ranges }
}

function readAcceptRules(written: unknown): ReadValue {
  if (!Array.isArray(written) || !written.every(isAcceptRule)) {
    const example = '{guest: "web-*", from: [host-b]}'
    return { expected: `a list of rules such as ${example}, each with a guest and a list of hosts` }
  }
  return { value: written }
}

function isAcceptRule(written: unknown): written is AcceptRule {
  if (typeof written !== 'object' || written === null) return false
  const { guest, from, ...others } = written as Record<string, unknown>
  const isText = (value: unknown): boolean => typeof value === 'string' && ANY_TEXT.fits(value)
  // An unknown key may be meant as a condition: refuse it.
  return isText(guest) && Array.isArray(from) && from.every(isText) && Object.keys(others).length === 0
}

function readChoice({ choices = [] }: OptionInfo, written: unknown): ReadValue {
  const value = choices.find((choice) => choice === written)
  return value === undefined ? { expected: `one of ${choices.join(', ')}` } : { value }
}

function withinBounds(option: OptionInfo, value: number | undefined, what: string, unit: string): ReadValue {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = option
  if (value !== undefined && Number.isSafeInteger(value) && value >= min && value <= max) return { value }
  return { expected: `${what}, from ${min} to ${max}${unit}` }
}

function bytesOf(written: unknown): number | undefined {
  if (typeof written === 'number') return written
  return typeof written === 'string' ? parseBytes(written) : undefined
}

/** A rate needs its unit: a bare number could be bits or bytes. */
function rateOf(written: unknown): number | undefined {
  return typeof written === 'string' ? parseRate(written) : undefined
}
