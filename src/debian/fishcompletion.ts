import { everyCommand, type CommandFacts, type OptionFacts, type OptionValue } from './commandfacts.ts'
import { isPath } from './paths.ts'

/** What completes `pagemesh` in fish. Pure. */
export function fishCompletion(program: CommandFacts): string {
  const lines = everyCommand(program).flatMap((facts) => [
    ...facts.commands.map(({ words, summary }) => line(facts, `-a ${words.at(-1)} -d ${quote(summary)}`)),
    ...facts.options.map((option) => line(facts, describeOption(option))),
    ...(facts.arguments.some(isPath) ? [line(facts, '-F')] : []),
  ])
  return `# Completion of pagemesh for fish, made from the same table as its --help.
complete -c pagemesh -f
${lines.join('\n')}
`
}

function line(facts: CommandFacts, what: string): string {
  return `complete -c pagemesh -n ${quote(conditionOf(facts))} ${what}`
}

/** When this command is the one that is written. */
function conditionOf({ words, commands }: CommandFacts): string {
  const seen = words.slice(1).map((word) => `__fish_seen_subcommand_from ${word}`)
  const names = commands.map((one) => one.words.at(-1))
  const further = names.length === 0 ? [] : [`not __fish_seen_subcommand_from ${names.join(' ')}`]
  return [...seen, ...further].join('; and ')
}

function describeOption({ forms, description, value }: OptionFacts): string {
  const names = forms.map((form) => (form.startsWith('--') ? `-l ${form.slice(2)}` : `-s ${form.slice(1)}`))
  return [...names, ...follows(value), `-d ${quote(description)}`].join(' ')
}

function follows(value: OptionValue | undefined): string[] {
  if (value === undefined) return []
  if (value.choices.length > 0) return ['-x', '-a', quote(value.choices.join(' '))]
  return isPath(value.name) ? ['-r', '-F'] : ['-x']
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll('\'', '\\\'')}'`
}
