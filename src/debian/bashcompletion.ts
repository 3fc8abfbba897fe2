import { everyCommand, type CommandFacts, type OptionValue } from './commandfacts.ts'
import { isPath } from './paths.ts'

/** What completes `pagemesh` in bash. Pure. */
export function bashCompletion(program: CommandFacts): string {
  return `# Completion of pagemesh for bash, made from the same table as its --help.
_pagemesh() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} command=pagemesh index
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "$command \${COMP_WORDS[index]}" in
      ${subcommands(program).map(quote).join(' | ')})
        command+=" \${COMP_WORDS[index]}" ;;
    esac
  done
  case "$command $before" in
${valueCases(program)}
  esac
  local words=''
  case $command in
${commandCases(program)}
  esac
  COMPREPLY+=($(compgen -W "$words" -- "$word"))
}
complete -F _pagemesh pagemesh
`
}

function subcommands(program: CommandFacts): string[] {
  return everyCommand(program).filter((facts) => facts !== program).map(({ words }) => words.join(' '))
}

/** What may follow an option. */
function valueCases(program: CommandFacts): string {
  return everyCommand(program).flatMap(({ words, options }) => options.flatMap(({ forms, value }) => {
    if (value === undefined) return []
    const patterns = forms.map((form) => quote(`${words.join(' ')} ${form}`)).join(' | ')
    return [`    ${patterns}) ${valuesOf(value)}return ;;`]
  })).join('\n')
}

function valuesOf({ name, choices }: OptionValue): string {
  if (choices.length > 0) return `COMPREPLY=($(compgen -W ${quote(choices.join(' '))} -- "$word")); `
  return isPath(name) ? `${FILES}; ` : ''
}

const FILES = 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word")'

/** What else a command may be given. */
function commandCases(program: CommandFacts): string {
  return everyCommand(program).map(({ words, commands, options, arguments: names }) => {
    const offered = [...commands.map((one) => one.words.at(-1)!), ...options.flatMap(({ forms }) => forms)]
    const files = names.some(isPath) ? `[[ $word == -* ]] || { ${FILES}; }; ` : ''
    return `    ${quote(words.join(' '))}) ${files}words=${quote(offered.join(' '))} ;;`
  }).join('\n')
}

function quote(text: string): string {
  return `'${text.replaceAll('\'', '\'\\\'\'')}'`
}
