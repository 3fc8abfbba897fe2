/** `node texts.ts ROOT`: writes into a package's root what is made from the tables of commands and options. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { argv } from 'node:process'

import { createProgram } from '../cli/index.ts'
import { OPTIONS } from '../index.ts'
import { bashCompletion } from './bashcompletion.ts'
import { everyCommand, factsOf } from './commandfacts.ts'
import { fishCompletion } from './fishcompletion.ts'
import { manualPage, pageName } from './manual.ts'
import { sampleConfig } from './sampleconfig.ts'
import { zshCompletion } from './zshcompletion.ts'

const [, , root] = argv
if (root === undefined) throw new Error('expected the root of the package')

const program = createProgram()
const facts = factsOf(program)
const commands = everyCommand(facts)
const texts = {
  'etc/pagemesh/agent.yaml': sampleConfig(OPTIONS),
  'usr/share/bash-completion/completions/pagemesh': bashCompletion(facts),
  'usr/share/fish/vendor_completions.d/pagemesh.fish': fishCompletion(facts),
  'usr/share/zsh/vendor-completions/_pagemesh': zshCompletion(facts),
  ...Object.fromEntries(commands.map((one) => [`usr/share/man/man1/${pageName(one)}.1`, manualPage(one, {
    version: program.version()!,
    related: commands.filter((other) => other !== one).map(pageName),
  })])),
}
for (const [path, text] of Object.entries(texts)) {
  await mkdir(dirname(join(root, path)), { recursive: true })
  await writeFile(join(root, path), text)
}
