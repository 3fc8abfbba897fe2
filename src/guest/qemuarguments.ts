/**
 * Parses a QEMU's command line. Pure. Whoever starts a QEMU can write anything there, so its values count only if the
 * process itself confirms them.
 */
import { PAGE_BYTES } from '../page/index.ts'
import { parseJson } from '../text/json.ts'

/** Managers that can be recognised by QEMU's command line. */
export const MANAGERS = ['libvirt', 'proxmox'] as const
export type Manager = (typeof MANAGERS)[number]

export interface QemuArguments {
  /** The guest's name, from `-name`. */
  name: string | undefined
  /** The value of `-uuid`, in lower case; channels of a multifd migration begin with it. */
  uuid: string | undefined
  /** The manager that started QEMU; undefined if it was started by hand. */
  manager: Manager | undefined
  /** Sizes of the memory that the guest was started with, bytes, without duplicates. */
  ramSizes: number[]
  /** Pages of it must not be shared (`mem-merge=off`, or a backend with `merge=off`). */
  isPrivate: boolean
  /** It was started to wait for a migration (`-incoming`). */
  waits: boolean
}

const MIB = 2 ** 20
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
/** QEMU's default memory size. */
const DEFAULT_RAM_BYTES = 128 * MIB
/** QEMU rounds `-m` up to this, and backends up to a page. */
const RAM_GRAIN_BYTES = 8192

/** An option with its argument; options without one do not matter here. */
interface Option {
  name: string
  value: string
}

/** An option's properties as text, also those from JSON. */
type Properties = ReadonlyMap<string, string>

/** Whether an executable is named as distributions name QEMU; the file may have been replaced since it was started. */
export function isQemuProgram(path: string): boolean {
  return /(^|\/)(qemu-system-[\w-]+|qemu-kvm|kvm)( \(deleted\))?$/.test(path)
}

/** Parses a command line that begins with the program's name. */
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

/** The guest's name: `-name vm`, `-name guest=vm,debug-threads=on`; a doubled comma stands for one. */
export function guestNameOf(words: readonly string[]): string | undefined {
  const last = valuesOf(optionsOf(words), 'name').at(-1)
  return last === undefined ? undefined : properties(last, 'guest').get('guest')
}

function managerOf(options: readonly Option[]): Manager | undefined {
  const channels = valuesOf(options, 'chardev').map((value) => properties(value, 'backend'))
  if (channels.some((channel) => channel.get('id') === 'charmonitor')) return 'libvirt'
  const isProxmox = valuesOf(options, 'id').some((id) => /^\d+$/.test(id)) &&
    channels.some((channel) => /^\/(var\/)?run\/qemu-server\//.test(channel.get('path') ?? ''))
  return isProxmox ? 'proxmox' : undefined
}

/** `-name a`, `--name a`: each option with the next word, unless that is an option, too. */
function optionsOf(words: readonly string[]): Option[] {
  const options: Option[] = []
  for (let at = 1; at + 1 < words.length; at++) {
    const name = /^--?([A-Za-z].*)$/.exec(words[at]!)?.[1]
    const value = words[at + 1]!
    if (name !== undefined && !value.startsWith('-')) options.push({ name, value })
  }
  return options
}

function valuesOf(options: readonly Option[], name: string): string[] {
  return options.filter((option) => option.name === name).map(({ value }) => value)
}

/** `{"id": "a", "size": 4096}`, or `a,size=4k,b=on`: a first value without a key gets `impliedKey`. */
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

/** The size from `-m`; without `-m` and without a backend, QEMU's default. */
function mainBytes(options: readonly Option[], hasBackend: boolean): number[] {
  const last = valuesOf(options, 'm').at(-1)
  if (last !== undefined) return wholeBytes(properties(last, 'size').get('size'), MIB, RAM_GRAIN_BYTES)
  return hasBackend ? [] : [DEFAULT_RAM_BYTES]
}

/** A size as QEMU reads it, rounded up: `512`, `0x1000`, `1.5G`; empty if it is no size. */
function wholeBytes(text: string | undefined, plainUnit: number, grain: number): number[] {
  const [, digits, letter = ''] = /^(0x[0-9a-f]+|\d+(?:\.\d+)?)([bkmgtpe]?)$/i.exec(text ?? '') ?? []
  if (digits === undefined) return []
  const unit = letter === '' ? plainUnit : 1024 ** 'bkmgtpe'.indexOf(letter.toLowerCase())
  const bytes = Math.ceil(Number(digits) * unit / grain) * grain
  return bytes > 0 && Number.isSafeInteger(bytes) ? [bytes] : []
}
