import { spawn } from 'node:child_process'
import { LabError } from '../laberror.ts'

/**
 * Runs a short command to its end and resolves to its standard output. Throws LabError `lab-command-failed` with
 * the command's standard error.
 * @param showProgress passes standard error on to ours, for long commands that report progress.
 */
export async function runCommand(argv: readonly string[], showProgress = false): Promise<string> {
  const [program = '', ...args] = argv
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', showProgress ? 'inherit' : 'pipe'] })
  let output = ''
  let errors = ''
  child.stdout?.on('data', (bytes: Buffer) => { output += bytes.toString() })
  child.stderr?.on('data', (bytes: Buffer) => { errors += bytes.toString() })
  const status = await new Promise<number | string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'killed'))
  })
  if (status === 0) return output
  throw new LabError('lab-command-failed', `${argv.join(' ')} failed (${status}): ${errors.trim()}`, {
    status, advice: 'Run testnet/setup.sh as root; it installs what the lab needs.',
  })
}

/** Whether the command runs and succeeds. */
export async function succeeds(argv: readonly string[]): Promise<boolean> {
  return runCommand(argv).then(() => true, () => false)
}
