/**
 * Compiles kernel.c if there is a C compiler. npm runs this at install, before anything else is built, and also for a
 * package in node_modules, where Node does not run TypeScript: hence JavaScript. The addon is optional: without it the
 * npm package hashes pages and Node seals them, more slowly. So this script never fails; it prints what it did.
 *
 * The addon is written beside its sources, named after the platform, for src and dist alike. `node build.js FOLDER`
 * writes it to another folder.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const SOURCES = ['kernel.c', 'descriptors.h', 'lanes.h', 'seal.h', 'build.js'].map((name) => join(HERE, name))
const FLAGS = ['-O3', '-std=gnu11', '-fPIC', '-shared', '-Wall', '-Wextra']
const COMPILERS = ['cc', 'gcc', 'clang']
/** A compiler that takes longer is stuck. */
const TIMEOUT_MS = 120_000

const folder = process.argv[2] ?? HERE
const target = join(folder, `kernel-${process.platform}-${process.arch}.node`)

try {
  console.log(isFresh() ? `The hash kernel is up to date: ${target}` : `Compiled the hash kernel: ${await compile()}`)
} catch (error) {
  // The first line suffices: the compiler's output was already shown.
  const [reason] = String(error.message).split('\n')
  console.log(`The hash kernel was not compiled, pages are hashed by the package instead: ${reason}`)
}

/** Whether the addon is no older than its sources and can be loaded on this machine. */
function isFresh() {
  try {
    const builtMs = statSync(target).mtimeMs
    if (SOURCES.some((path) => statSync(path).mtimeMs > builtMs)) return false
    createRequire(import.meta.url)(target)
    return true
  } catch {
    // Missing, or made for another system: compile it.
    return false
  }
}

/** Replaces the addon atomically, because other processes may be loading it. */
async function compile() {
  const { include_dir: headers } = (await import('node-api-headers')).default
  const compiler = findCompiler()
  const made = mkdtempSync(join(folder, '.build-'))
  try {
    const output = join(made, 'kernel.node')
    execFileSync(compiler, [...FLAGS, `-I${headers}`, '-o', output, join(HERE, 'kernel.c')], {
      stdio: ['ignore', 'inherit', 'inherit'], timeout: TIMEOUT_MS,
    })
    // Readable for all: agents run as other users.
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
    // Missing or broken: the next one is tried.
    return false
  }
}
