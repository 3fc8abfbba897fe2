import type { Command, Option } from 'commander'

/** What a command is, as its help says it: what manual pages and completion are made from. */
export interface CommandFacts {
  /** From `pagemesh` on. */
  words: readonly string[]
  summary: string
  /** Paragraphs, each on one line. */
  description: readonly string[]
  usage: string
  /** Names of its arguments. */
  arguments: readonly string[]
  options: readonly OptionFacts[]
  /** Lines, each of them a command and perhaps what it is for. */
  examples: readonly string[]
  exitStatus: string
  commands: readonly CommandFacts[]
}

export interface OptionFacts {
  /** As the help has them: `-V, --version`, `--to <host>`. */
  flags: string
  /** `--to`, and `-V` where there is such a form. */
  forms: readonly string[]
  description: string
  /** What follows the option; undefined: nothing. */
  value?: OptionValue
}

export interface OptionValue {
  name: string
  /** All that it may be; none: that is not said. */
  choices: readonly string[]
}

/**
 * What `command` and all below it are, without `help`, which commander brings beside `--help`. Their help is printed
 * nowhere afterwards.
 */
export function factsOf(command: Command, before: readonly string[] = []): CommandFacts {
  const help = command.createHelp()
  const words = [...before, command.name()]
  const { notes, examples, exitStatus } = readClosing(command)
  return {
    words,
    summary: help.subcommandDescription(command),
    description: [...paragraphsOf(help.commandDescription(command)), ...notes],
    usage: help.commandUsage(command),
    arguments: help.visibleArguments(command).map((argument) => argument.name()),
    options: help.visibleOptions(command).map((option) => optionFacts(option, help.optionDescription(option))),
    examples, exitStatus,
    commands: command.commands.map((one) => factsOf(one, words)),
  }
}

/** `facts` and all below it. */
export function everyCommand(facts: CommandFacts): CommandFacts[] {
  return [facts, ...facts.commands.flatMap(everyCommand)]
}

function optionFacts(option: Option, description: string): OptionFacts {
  const { flags, short, long, argChoices } = option
  const forms = [short, long].filter((form) => form !== undefined && form !== null)
  const [, name] = /<(.+)>$/.exec(flags) ?? []
  return { flags, forms, description, ...(name === undefined ? {} : { value: { name, choices: argChoices ?? [] } }) }
}

/** What the help says after its lists: commander hands it out with all the rest only. */
function readClosing(command: Command): Pick<CommandFacts, 'examples' | 'exitStatus'> & { notes: string[] } {
  let printed = ''
  command.configureOutput({ writeOut: (text) => { printed += text } })
  command.outputHelp()
  const closing = printed.slice(command.helpInformation().length).trim().split(/\n{2,}/)
  const examples = closing.find((paragraph) => /^Examples?:\n/.test(paragraph))
  const exitStatus = closing.find((paragraph) => paragraph.startsWith('Exit status: '))
  const notes = closing.filter((paragraph) => paragraph !== examples && paragraph !== exitStatus)
  return {
    notes: notes.flatMap(paragraphsOf),
    examples: examples?.split('\n').slice(1).map((line) => line.trim()) ?? [],
    exitStatus: exitStatus?.replace('Exit status: ', '') ?? '',
  }
}

function paragraphsOf(text: string): string[] {
  return text.split(/\n{2,}/).map((paragraph) => paragraph.replaceAll('\n', ' '))
}
