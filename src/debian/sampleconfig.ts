import { formatBytes, formatRate, type OptionInfo } from '../index.ts'

const COLUMNS_MAX = 100

/** A configuration in which every key stands as a comment, with its default or an example. Pure. */
export function sampleConfig(options: readonly OptionInfo[]): string {
  const entries = options.map((option, index) => entryOf(option, options[index - 1]))
  return [HEAD, ...entries].join('\n')
}

const HEAD = `# The configuration of this host's Pagemesh agent. Each key stands below as a comment, with its
# default, or with an example where it has none. \`name\` and \`clusterKey\` must be set. A key that is
# indented goes with the section above it: take the mark off that line, too.
#
# Is it right?         pagemesh check
# After a change:      systemctl restart pagemesh
`

/** Numbers' bounds in the words that an operator writes; empty: none. Pure. */
export function boundsOf({ kind, min, max }: OptionInfo): string {
  if (min === undefined || max === undefined) return ''
  const write = kind === 'bytes' ? formatBytes : kind === 'rate' ? formatRate : String
  return `${write(min)} to ${write(max)}`
}

function entryOf(option: OptionInfo, before: OptionInfo | undefined): string {
  const { about, tuning, required } = option
  const { section, name } = placeOf(option)
  const bounds = boundsOf(option)
  const says = [about, tuning, bounds === '' ? '' : `From ${bounds}.`, required === true ? 'Required.' : '']
  const begins = section !== '' && section !== (before && placeOf(before).section) ? [`#${section}:`] : []
  const indent = section === '' ? '' : '  '
  return [...begins, ...wrap(says.filter((text) => text).join(' ')), `#${indent}${name}: ${valueOf(option)}`, '']
    .join('\n')
}

function placeOf({ key }: OptionInfo): { section: string; name: string } {
  const [section, name] = key.split('.')
  return name === undefined ? { section: '', name: section! } : { section: section!, name }
}

function valueOf({ default: byDefault, example = '' }: OptionInfo): string {
  if (byDefault === undefined) return example
  return typeof byDefault === 'object' ? `[${byDefault.join(', ')}]` : String(byDefault)
}

function wrap(text: string): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    if (lines.at(-1)!.length + word.length > COLUMNS_MAX) lines.push('')
    lines.push(`${lines.pop()!} ${word}`)
  }
  return lines.map((line) => `#${line}`)
}
