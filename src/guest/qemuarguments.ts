/**
 * What a QEMU's command line says of its guest. Pure: words in, values out. Whoever starts a QEMU may write what he
 * likes there: nothing of it is believed that the process itself does not show.
 */
import { PAGE_BYTES } from '../page/index.ts'
import { parseJson } from '../text/json.ts'

/** Who starts QEMUs and migrates them, as far as their command lines tell. */
export const MANAGERS = ['libvirt', 'proxmox'] as const
export type Manager = (typeof MANAGERS)[number]

export interface QemuArguments {
  /** What `-name` calls the guest. */
  name: string | undefined
  /** What `-uuid` says, in lower case; channels of a multifd migration begin with it. */
  uuid: string | undefined
  /** The manager whose words these are; undefined for a QEMU that somebody started by hand. */
  manager: Manager | undefined
  /** Bytes of each piece of memory that the guest was started with; one of each size. */
  ramSizes: number[]
  /** Pages of it must not be shared (`mem-merge=off`, or a backend with `merge=off`). */
  isPrivate: boolean
  /** It was started to wait for a migration (`-incoming`). */
  waits: boolean
}

const MIB = 2 ** 20
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
/** What QEMU gives a guest of which nothing says how much memory it has. */
const DEFAULT_RAM_BYTES = 128 * MIB
/** QEMU rounds `-m` up to this, and a backend to a page. */
const RAM_GRAIN_BYTES = 8192

/** An option with the word behind it: those without one do not count here. */
interface Option {
  name: string
  value: string
}

/** A property of an option, as text whatever it was in JSON. */
type Properties = ReadonlyMap<string, string>

/** Whether a program's file is named as distributions name QEMU; it may have been replaced since it was started. */
export function isQemuProgram(path: string): boolean {
  return /(^|\/)(qemu-system-[\w-]+|qemu-kvm|kvm)( \(deleted\))?$/.test(path)
}

/** Reads a command line, the program's own name first. */
export function parseQemuArguments(words: readonly string[]): QemuArguments {
  const options = optionsOf(words)
  const backends = valuesOf(options, 'object').map((value) => properties(value, 'qom-type'))
    .filter((backend) => /^memory-backend-(ram|memfd|file|shm)$/.test(backend.get('qom-type') ?? ''))
  const machines = [...valuesOf(options, 'machine'), ...valuesOf(options, 'M')]
    .map((value) => properties(value, 'type'))
  return {
    name: guestNameOf(words),
    uuid: UUID.exec(valuesOf(options, 'uuid').at(-1) ?? '')?.[0].toLowerCase(),
    manager: managerOf(options),
    ramSizes: [...new Set([...backends.flatMap(backendBytes), ...mainBytes(options, backends.length > 0)])],
    isPrivate: isOff(machines.map((machine) => machine.get('mem-merge')).findLast((text) => text !== undefined)) ||
      backends.some((backend) => isOff(backend.get('merge'))),
    waits: valuesOf(options, 'incoming').length > 0,
  }
}

/** What -name calls the guest: `-name vm`, `-name guest=vm,debug-threads=on`; a doubled comma is one. */
export function guestNameOf(words: readonly string[]): string | undefined {
  const last = valuesOf(optionsOf(words), 'name').at(-1)
  return last === undefined ? undefined : properties(last, 'guest').get('guest')
}

function managerOf(options: readonly Option[]): Manager | undefined {
  const channels = valuesOf(options, 'chardev').map((value) => properties(value, 'backend'))
  if (channels.some((channel) => channel.get('id') === 'charmonitor')) return 'libvirt'
  const isProxmox = valuesOf(options, 'id').some((id) => /^\d+$/.test(id))
    && channels.some((channel) => /^\/(var\/)?run\/qemu-server\//.test(channel.get('path') ?? ''))
  return isProxmox ? 'proxmox' : undefined
}

/** `-name a`, `--name a`: each option with the word behind it, unless that is an option, too. */
function optionsOf(words: readonly string[]): Option[] {
  return words.slice(1).flatMap((word, index, all) => {
    const name = /^--?([A-Za-z].*)$/.exec(word)?.[1]
    const value = all[index + 1]
    return name === undefined || value === undefined || value.startsWith('-') ? [] : [{ name, value }]
  })
}

function valuesOf(options: readonly Option[], name: string): string[] {
  return options.filter((option) => option.name === name).map(({ value }) => value)
}

/** `{"id": "a", "size": 4096}`, or `a,size=4k,b=on`: what stands first without a key has `impliedKey`. */
function properties(value: string, impliedKey: string): Properties {
  if (value.startsWith('{')) return new Map(jsonProperties(value))
  const parts = (value.match(/(?:[^,]|,,)+/g) ?? []).map((part) => part.replaceAll(',,', ','))
  return new Map(parts.map((part, index) => {
    const [, key = '', text = ''] = /^([^=]*)=(.*)$/s.exec(part) ?? []
    if (key !== '') return [key, text]
    return index === 0 ? [impliedKey, part] : [part, 'on']
  }))
}

function jsonProperties(value: string): [string, string][] {
  const object = parseJson(value)
  if (typeof object !== 'object' || object === null) return []
  return Object.entries(object).flatMap(([key, item]): [string, string][] =>
    ['string', 'number', 'boolean'].includes(typeof item) ? [[key, String(item)]] : [])
}

function isOff(value: string | undefined): boolean {
  return value !== undefined && /^(off|no|n|false)$/.test(value)
}

function backendBytes(backend: Properties): number[] {
  return wholeBytes(backend.get('size'), 1, PAGE_BYTES)
}

/** What `-m` says; without it a guest that has no backend either has what QEMU gives it. */
function mainBytes(options: readonly Option[], hasBackend: boolean): number[] {
  const last = valuesOf(options, 'm').at(-1)
  if (last !== undefined) return wholeBytes(properties(last, 'size').get('size'), MIB, RAM_GRAIN_BYTES)
  return hasBackend ? [] : [DEFAULT_RAM_BYTES]
}

/** A size as QEMU reads it, rounded up: `512`, `0x1000`, `1.5G`; none where it is no size. */
function wholeBytes(text: string | undefined, plainUnit: number, grain: number): number[] {
  const [, digits, letter = ''] = /^(0x[0-9a-f]+|\d+(?:\.\d+)?)([bkmgtpe]?)$/i.exec(text ?? '') ?? []
  if (digits === undefined) return []
  const unit = letter === '' ? plainUnit : 1024 ** 'bkmgtpe'.indexOf(letter.toLowerCase())
  const bytes = Math.ceil(Number(digits) * unit / grain) * grain
  return bytes > 0 && Number.isSafeInteger(bytes) ? [bytes] : []
}
