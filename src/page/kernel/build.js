/**
 * Compiles kernel.c, where there is a C compiler. npm runs this at install, before anything else is built, and for a
 * package inside of node_modules as well, where Node reads no TypeScript: hence JavaScript. Nothing depends on its
 * success: without the addon pages are hashed by the package, more slowly. So it never fails; it says what it did.
 *
 * The addon lies beside its sources, named after the platform, for src and dist alike. `node build.js FOLDER` writes
 * it to another folder.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const SOURCES = ['kernel.c', 'descriptors.h', 'lanes.h', 'build.js'].map((name) => join(HERE, name))
const FLAGS = ['-O3', '-std=gnu11', '-fPIC', '-shared', '-Wall', '-Wextra']
const COMPILERS = ['cc', 'gcc', 'clang']
/** A compiler that takes longer is stuck. */
const TIMEOUT_MS = 120_000

const folder = process.argv[2] ?? HERE
const target = join(folder, `kernel-${process.platform}-${process.arch}.node`)

try {
  console.log(isFresh() ? `The hash kernel is up to date: ${target}` : `Compiled the hash kernel: ${await compile()}`)
} catch (error) {
  // The first line is enough: a compiler's output has been shown by itself.
  const [reason] = String(error.message).split('\n')
  console.log(`The hash kernel was not compiled, pages are hashed by the package instead: ${reason}`)
}

/** Whether the addon is no older than its sources, and is one that this machine loads. */
function isFresh() {
  try {
    const builtMs = statSync(target).mtimeMs
    if (SOURCES.some((path) => statSync(path).mtimeMs > builtMs)) return false
    createRequire(import.meta.url)(target)
    return true
  } catch {
    // It is missing, or was made for another system: it is compiled.
    return false
  }
}

/** Whoever loads the addon meanwhile finds the old one or the new one, never a half. */
async function compile() {
  const { include_dir: headers } = (await import('node-api-headers')).default
  const compiler = findCompiler()
  const made = mkdtempSync(join(folder, '.build-'))
  try {
    const output = join(made, 'kernel.node')
    execFileSync(compiler, [...FLAGS, `-I${headers}`, '-o', output, join(HERE, 'kernel.c')], {
      stdio: ['ignore', 'inherit', 'inherit'], timeout: TIMEOUT_MS,
    })
    // Agents give up their rights and are another user then.
    chmodSync(output, 0o755)
    renameSync(output, target)
    return target
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
}

function findCompiler() {
  const found = [process.env.CC, ...COMPILERS].find((name) => name && runs(name))
  if (found === undefined) throw new Error(`there is no C compiler (looked for $CC, ${COMPILERS.join(', ')})`)
  return found
}

function runs(command) {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore', timeout: TIMEOUT_MS })
    return true
  } catch {
    // It is not there, or does not work: the next one is tried.
    return false
  }
}
