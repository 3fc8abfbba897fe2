import type { Command } from 'commander'

import { EXIT_HELP } from './exit.ts'

export function addKeygen(program: Command): void {
  program.command('keygen')
    .summary('write a new cluster key')
    .description('Writes a new cluster key to FILE, readable by its owner alone. Never overwrites a file.')
    .argument('<file>', 'where the key goes')
    .addHelpText('after', `
Example:
  pagemesh keygen /etc/pagemesh/cluster.key
  scp /etc/pagemesh/cluster.key host-b:/etc/pagemesh/     every host of a cluster has the same key

${EXIT_HELP}`)
    .action(async (file: string) => {
      const { writeClusterKey } = await import('../index.ts')
      await writeClusterKey(file)
      process.stderr.write(`A new cluster key is in ${file}. Copy it to every host of the cluster, to nobody else.\n`)
    })
}
