/** The documents' tables, generated from the code. Pure. */
import { boundsOf } from '../../src/debian/sampleconfig.ts'
import type { OptionInfo } from '../../src/index.ts'

/** Configuration keys with default, bounds and description. */
export function configTable(options: readonly OptionInfo[]): string {
  return table(['key', 'default', 'bounds', 'meaning'], options.map((option) => {
    const { key, required, about, tuning } = option
    const byDefault = required === true ? 'required' : defaultText(option)
    return [`\`${key}\``, byDefault, boundsOf(option), [about, tuning].filter((text) => text).join(' ')]
  }))
}

/** The commands, from the output of `pagemesh --help`: `  keygen <file>   write a new cluster key`. */
export function commandTable(help: string): string {
  const commands = help.slice(help.indexOf('Commands:')).matchAll(/^ {2}(\w+) (.*?) {2,}(\w.*)$/gm)
  const rows = [...commands].filter(([, name]) => name !== 'help')
  return table(['command', 'does'], rows.map(([, name, words = '', summary = '']) =>
    [`\`pagemesh ${[name, ...words.split(' ').filter((word) => word.startsWith('<'))].join(' ')}\``, summary]))
}

function defaultText({ default: written }: OptionInfo): string {
  if (written === undefined) return ''
  return typeof written === 'object' ? `\`[${written.join(', ')}]\`` : `\`${written}\``
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
