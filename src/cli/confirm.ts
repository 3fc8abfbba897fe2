import { createInterface } from 'node:readline'

/** Whether a user can be asked: input and output are a terminal. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY
}

/** Asks on the terminal; any answer but a clear yes counts as no. */
export async function confirm(question: string): Promise<boolean> {
  process.stderr.write(`${question} [y/N] `)
  const lines = createInterface({ input: process.stdin, terminal: false })
  try {
    for await (const line of lines) return /^\s*y(es)?\s*$/i.test(line)
    process.stderr.write('\n')
    return false
  } finally {
    lines.close()
  }
}
