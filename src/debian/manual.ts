import type { CommandFacts } from './commandfacts.ts'

/** The manual page of one command, in the macros of man(7). Pure. */
export function manualPage(facts: CommandFacts, { version, related }: { version: string; related: string[] }): string {
  const { description, usage, options, examples, exitStatus, commands } = facts
  const sections = [
    ['NAME', `${escape(pageName(facts))} \\- ${escape(facts.summary)}`],
    ['SYNOPSIS', `.B ${escape(usage)}`],
    ['DESCRIPTION', description.map(escape).join('\n.PP\n')],
    ['COMMANDS', commands.map((one) => item(usageOf(one), one.summary)).join('\n')],
    ['OPTIONS', options.map((option) => item(option.flags, option.description)).join('\n')],
    ['EXIT STATUS', escape(exitStatus)],
    ['EXAMPLES', examples.length === 0 ? '' : ['.nf', ...examples.map(escape), '.fi'].join('\n')],
    ['SEE ALSO', related.map((name) => `.BR ${escape(name)} (1)`).join(',\n')],
  ]
  const title = `.TH ${escape(pageName(facts).toUpperCase())} 1 "" "Pagemesh ${escape(version)}" "Pagemesh"`
  const written = sections.filter(([, text]) => text !== '').map(([name, text]) => `.SH ${name}\n${text}`)
  return `${[title, ...written].join('\n')}\n`
}

/** `pagemesh-peers-accept`. */
export function pageName({ words }: CommandFacts): string {
  return words.join('-')
}

function item(term: string, text: string): string {
  return `.TP\n.B ${escape(term)}\n${escape(text)}`
}

function usageOf({ words, arguments: names }: CommandFacts): string {
  return [words.slice(1).join(' '), ...names.map((name) => `<${name}>`)].join(' ')
}

/** As it stands: no word of it is a request, and each hyphen is the one that can be typed. */
function escape(text: string): string {
  return text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replace(/^[.']/, '\\&$&')
}
