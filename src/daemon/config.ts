import { readFile } from 'node:fs/promises'

import { isAlias, isMap, isNode, isScalar, LineCounter, parseDocument, type Document, type YAMLMap } from 'yaml'

import {
  defaultOf, OPTIONS, type AgentOptions, type ConfigOptions, type OptionInfo, type OptionValue,
} from '../index.ts'
import { systemErrorCode } from '../runtime/errors.ts'
import { badConfig, nearestKey } from './configerror.ts'
import { readOptionValue } from './optionvalue.ts'

/** A configuration file's values; absent ones have the defaults of the options table. */
export interface Config {
  agentOptions: AgentOptions
  control: NonNullable<ConfigOptions['control']>
  http?: NonNullable<ConfigOptions['http']>
}

/** A configuration is a page of text: a much larger file is something else. */
const FILE_BYTES_MAX = 1024 * 1024

/** Reads a configuration file. Throws PagemeshError `bad-config`. */
export async function readConfig(file: string): Promise<Config> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    throw badConfig({
      file, cause,
      message: `the configuration cannot be read (${systemErrorCode(cause) ?? 'unknown cause'}).`,
      advice: 'Check the path and that the agent\'s user may read it.',
    })
  }
  return parseConfig(text, file)
}

/** Parses a configuration; messages name `file`. Pure. Throws PagemeshError `bad-config`. */
export function parseConfig(text: string, file: string): Config {
  if (text.length > FILE_BYTES_MAX) {
    throw badConfig({ file, message: `a configuration is no longer than ${FILE_BYTES_MAX} bytes.` })
  }
  const values = new ConfigReader(text, file).read()
  for (const option of OPTIONS) if (!values.has(option.key)) applyDefault(values, option, file)
  // Each value was read by its option's kind, and those with a default are set.
  const { control, http, ...agentOptions } = nest(values) as unknown as ConfigOptions & Pick<Config, 'control'>
  return { agentOptions, control, ...(http === undefined ? {} : { http }) }
}

function applyDefault(values: Map<string, OptionValue>, option: OptionInfo, file: string): void {
  if (option.required === true) {
    throw badConfig({ file, key: option.key, message: `\`${option.key}\` is missing.`, advice: option.about })
  }
  const value = defaultOf(option)
  if (value !== undefined) values.set(option.key, value)
}

/** `{'census.maxBytes': 1}` -> `{census: {maxBytes: 1}}`; sections are one deep. */
function nest(values: ReadonlyMap<string, OptionValue>): Record<string, unknown> {
  const nested: Record<string, OptionValue | Record<string, OptionValue>> = {}
  for (const [key, value] of values) {
    const [section = '', name] = key.split('.')
    if (name === undefined) nested[section] = value
    else nested[section] = { ...(nested[section] as Record<string, OptionValue> | undefined), [name]: value }
  }
  return nested
}

/** Walks the YAML document, which has positions, so that every error can name its line. */
class ConfigReader {
  readonly #file: string
  readonly #lines = new LineCounter()
  readonly #document: Document.Parsed
  readonly #values = new Map<string, OptionValue>()

  constructor(text: string, file: string) {
    this.#file = file
    try {
      // A key that is a map of maps would be written out for its name, in the power of its depth.
      this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, stringKeys: true })
    } catch (cause) {
      throw badConfig({ file, line: undefined, cause, message: 'no valid YAML: its values are nested too deeply.' })
    }
  }

  /** The values that the file sets, by option key. */
  read(): Map<string, OptionValue> {
    const [error] = this.#document.errors
    if (error !== undefined) {
      const { line } = this.#lines.linePos(error.pos[0])
      throw badConfig({ file: this.#file, line, message: `no valid YAML: ${error.message}.` })
    }
    const { contents } = this.#document
    if (isMap(contents)) this.#readMap(contents, '')
    else if (contents !== null && !(isScalar(contents) && contents.value === null)) {
      throw badConfig({ file: this.#file, line: 1, message: 'expected keys and values, such as `name: host-a`.' })
    }
    return this.#values
  }

  #readMap(map: YAMLMap, prefix: string): void {
    for (const { key, value } of map.items) {
      const name = prefix + (isScalar(key) ? String(key.value) : String(key))
      const line = this.#lineOf(key)
      const option = OPTIONS.find((candidate) => candidate.key === name)
      if (option !== undefined) this.#readOption(option, value, line)
      else if (OPTIONS.some((candidate) => candidate.key.startsWith(`${name}.`))) this.#readSection(name, value, line)
      else throw this.#unknownKey(name, line)
    }
  }

  #readSection(name: string, value: unknown, line: number | undefined): void {
    const section = isAlias(value) ? value.resolve(this.#document) : value
    if (isMap(section)) {
      this.#readMap(section, `${name}.`)
      return
    }
    const keys = OPTIONS.filter(({ key }) => key.startsWith(`${name}.`)).map(({ key }) => key.slice(name.length + 1))
    throw badConfig({
      file: this.#file, line, key: name,
      message: `\`${name}\` is a section: expected some of ${keys.join(', ')} below it.`,
    })
  }

  #readOption(option: OptionInfo, value: unknown, line: number | undefined): void {
    const written = this.#plain(value, option.key, line)
    const read = readOptionValue(option, written)
    if ('expected' in read) {
      const found = written === null || written === undefined ? 'nothing' : JSON.stringify(written)
      throw badConfig({
        file: this.#file, line, key: option.key,
        message: `\`${option.key}\` is ${found}; expected ${read.expected}.`,
      })
    }
    this.#values.set(option.key, read.value)
  }

  /** The plain value of a YAML node; refuses aliases that do not resolve and documents with too many aliases. */
  #plain(value: unknown, key: string, line: number | undefined): unknown {
    try {
      return isNode(value) ? value.toJS(this.#document) : value
    } catch (cause) {
      const message = `\`${key}\` has an alias that cannot be resolved.`
      throw badConfig({ file: this.#file, line, key, cause, message })
    }
  }

  #unknownKey(name: string, line: number | undefined): Error {
    const sections = OPTIONS.flatMap(({ key }) => (key.includes('.') ? [key.slice(0, key.indexOf('.'))] : []))
    const nearest = nearestKey(name, [...OPTIONS.map(({ key }) => key), ...new Set(sections)])
    return badConfig({
      file: this.#file, line, key: name,
      message: `the key \`${name}\` is unknown.`,
      advice: `Did you mean \`${nearest}\`?`,
    })
  }

  #lineOf(node: unknown): number | undefined {
    return isNode(node) && node.range ? this.#lines.linePos(node.range[0]).line : undefined
  }
}
