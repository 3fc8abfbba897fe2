import { everyCommand, type CommandFacts, type OptionFacts } from './commandfacts.ts'
import { isPath } from './paths.ts'

/** What completes `pagemesh` in zsh: a function a command, each of which leads on to those below it. Pure. */
export function zshCompletion(program: CommandFacts): string {
  return `#compdef pagemesh
# Completion of pagemesh for zsh, made from the same table as its --help.

${everyCommand(program).map(functionOf).join('\n\n')}

_pagemesh "$@"
`
}

function functionOf(facts: CommandFacts): string {
  const specs = [...facts.options.flatMap(optionSpecs), ...facts.arguments.map(argumentSpec)]
  return facts.commands.length === 0 ? `${nameOf(facts)}() {
  _arguments \\
    ${specs.join(' \\\n    ')}
}` : `${nameOf(facts)}() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C \\
    ${[...specs, quote('1: :->command'), quote('*:: :->rest')].join(' \\\n    ')}
  case $state in
    command)
      local -a commands=(
        ${facts.commands.map(({ words, summary }) => quote(`${words.at(-1)}:${summary}`)).join('\n        ')}
      )
      _describe command commands ;;
    rest)
      (( $+functions[${nameOf(facts)}_$line[1]] )) && ${nameOf(facts)}_$line[1] ;;
  esac
}`
}

function nameOf({ words }: CommandFacts): string {
  return `_${words.join('_')}`
}

function optionSpecs({ forms, description, value }: OptionFacts): string[] {
  const follows = value === undefined ? '' : `:${value.name}:${actionOf(value.name, value.choices)}`
  return forms.map((form) => quote(`${form}[${description.replace(/[[\]:\\]/g, '\\$&')}]${follows}`))
}

function argumentSpec(name: string, index: number): string {
  return quote(`${index + 1}:${name}:${actionOf(name, [])}`)
}

function actionOf(name: string, choices: readonly string[]): string {
  if (choices.length > 0) return `(${choices.join(' ')})`
  return isPath(name) ? '_files' : ' '
}

function quote(text: string): string {
  return `'${text.replaceAll('\'', '\'\\\'\'')}'`
}
