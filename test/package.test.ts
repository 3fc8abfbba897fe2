import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { kernelInUse } from '../src/page/index.ts'
import { unexportedTypes } from './package/declarations.ts'
import { blocksOf } from './readme/documents.ts'

const REPOSITORY = join(import.meta.dirname, '..')
const MODULES = join(REPOSITORY, 'node_modules')
/** Packing builds the package, and the compiler reads all types of libp2p. */
const TIMEOUT_MS = 180_000
const run = promisify(execFile)

const DOCUMENTS = [
  'README.md', 'src/README.md', 'src/daemon/README.md', 'src/placement/README.md', 'src/popularity/README.md',
]

/** A consumer's flags, with the library's own types checked as well. */
const TSCONFIG = {
  compilerOptions: {
    target: 'es2024', module: 'nodenext', strict: true, noEmit: true, exactOptionalPropertyTypes: true,
    types: ['node'], lib: ['es2024', 'esnext.disposable', 'dom'],
  },
  include: ['example*.ts'],
}

interface Lock {
  packages: Record<string, { integrity?: string; resolved?: string; dev?: boolean; os?: string[]; cpu?: string[] }>
}

/** Packages for other systems than an agent's, Linux on x86-64, are not installed. */
function isForHosts({ os = ['linux'], cpu = ['x64'] }: Lock['packages'][string]): boolean {
  return os.includes('linux') && cpu.includes('x64')
}

describe('the package as others install it', function () {
  this.timeout(TIMEOUT_MS)
  let folder = ''
  let installed = ''

  /** Like `npm install`, without a registry: the packed files, and links to their dependencies. */
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pm-package-'))
    await run('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: REPOSITORY })
    const [tarball = ''] = await readdir(folder)
    await run('tar', ['-xzf', tarball], { cwd: folder })
    await mkdir(join(folder, 'node_modules'))
    for (const name of await readdir(MODULES)) {
      if (name !== '.bin') await symlink(join(MODULES, name), join(folder, 'node_modules', name))
    }
    installed = join(folder, 'node_modules', 'pagemesh')
    await rename(join(folder, 'package'), installed)
    await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(TSCONFIG))
  })

  after(() => rm(folder, { recursive: true, force: true }))

  it('brings what a user needs and nothing of the lab', async () => {
    const files = await readdir(installed)
    assert.deepEqual(files.sort(), [
      'LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'dist', 'npm-shrinkwrap.json', 'package.json', 'src',
    ])
    const folders = await Promise.all(['dist', 'src'].map((name) => readdir(join(installed, name))))
    assert.ok(!folders.flat().includes('debian'))
  })

  it('locks every package, whatever machine it is for, each with its hash', async () => {
    const { packages } = JSON.parse(await readFile(join(installed, 'npm-shrinkwrap.json'), 'utf8')) as Lock
    const installs = Object.entries(packages).filter(([path]) => path !== '')
    assert.ok(installs.length > 100)
    const loose = installs.filter(([, { integrity }]) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? ''))
    assert.deepEqual(loose.map(([path]) => path), [])
    // Npm as it comes, whatever registry this machine takes packages from.
    const nothing = { npm_config_userconfig: join(folder, 'user'), npm_config_globalconfig: join(folder, 'global') }
    const { stdout: registry } = await run('npm', ['config', 'get', 'registry'], {
      cwd: folder, env: { PATH: process.env['PATH'], HOME: folder, ...nothing },
    })
    assert.match(registry, /^https:/)
    const foreign = installs.filter(([, { resolved }]) => resolved?.startsWith(registry.trim()) === false)
    assert.deepEqual(foreign.map(([path]) => path), [])
  })

  it('brings a list of what it is made of, for whoever looks for known flaws', async () => {
    const { bomFormat, components } = JSON.parse(await readFile(join(installed, 'dist/sbom.cdx.json'), 'utf8')) as
      { bomFormat: string; components: { name: string; version: string }[] }
    assert.equal(bomFormat, 'CycloneDX')
    const { packages } = JSON.parse(await readFile(join(installed, 'npm-shrinkwrap.json'), 'utf8')) as Lock
    const listed = new Set(components.map(({ name }) => name))
    const installs = Object.entries(packages).filter(([path, entry]) => path !== '' && entry.dev !== true)
      .filter(([, entry]) => isForHosts(entry)).map(([path]) => path.slice(path.lastIndexOf('node_modules/') + 13))
    assert.deepEqual(installs.filter((name) => !listed.has(name)), [])
  })

  it('brings the unit of the service', async () => {
    assert.match(await readFile(join(installed, 'src/daemon/pagemesh.service'), 'utf8'), /^User=pagemesh$/m)
  })

  it('locks what package.json asks for, and marks what only its authors need', async () => {
    const { dependencies, devDependencies } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as
      Record<string, Record<string, string>>
    const { packages } = JSON.parse(await readFile(join(installed, 'npm-shrinkwrap.json'), 'utf8')) as Lock
    const isDev = (name: string): boolean | undefined => {
      const entry = packages[`node_modules/${name}`]
      return entry === undefined ? undefined : entry.dev === true
    }
    assert.deepEqual(Object.keys(dependencies!).filter((name) => isDev(name) !== false), [])
    assert.deepEqual(Object.keys(devDependencies!).filter((name) => isDev(name) !== true), [])
  })

  it('has types for every example of the documents that it brings', async () => {
    const documents = await Promise.all(DOCUMENTS.map((path) => readFile(join(installed, path), 'utf8')))
    const examples = documents.map((text) => blocksOf(text, 'ts'))
    assert.deepEqual(examples.map(({ length }) => length), [1, 2, 0, 0, 0])
    for (const [index, code] of examples.flat().entries()) await writeFile(join(folder, `example${index}.ts`), code)
    const compiler = join(MODULES, '.bin', 'tsc')
    const { stdout } = await run(compiler, ['-p', folder]).catch((error: { stdout: string }) => error)
    assert.equal(stdout, '')
  })

  it('exports every type that what it exports takes or gives', () => {
    assert.deepEqual(unexportedTypes(join(installed, 'dist')), [])
  })

  it('hashes with the kernel that was compiled where it was packed, and compiles one that is missing', async () => {
    const file = join(installed, 'consumer.js')
    const face = join(installed, 'dist/page/index.js')
    await writeFile(file, `import { kernelInUse } from ${JSON.stringify(face)}\nconsole.log(kernelInUse())`)
    const inUse = (env = process.env): Promise<string> =>
      run(process.execPath, [file], { env }).then(({ stdout }) => stdout.trim())
    assert.equal(await inUse(), kernelInUse())
    const sources = join(installed, 'src/page/kernel')
    for (const name of await readdir(sources)) if (name.endsWith('.node')) await rm(join(sources, name))
    assert.equal(await inUse(), 'package')
    // Like npm does for a package inside of node_modules.
    const { stdout } = await run(process.execPath, [join(sources, 'build.js')])
    assert.equal(await inUse({ ...process.env, PAGEMESH_KERNEL: '' }) !== 'package', stdout.startsWith('Compiled'))
  })

  it('has a command and a library that agree on the cluster key', async () => {
    const key = join(folder, 'cluster.key')
    await run(join(installed, 'dist', 'cli', 'main.js'), ['keygen', key])
    await writeFile(join(folder, 'consumer.js'), [
      'import { createAgent } from \'pagemesh\'',
      'const agent = await createAgent({ name: \'host-a\', clusterKey: process.argv[2] })',
      'console.log(typeof agent.migrate)',
    ].join('\n'))
    const { stdout } = await run(process.execPath, [join(folder, 'consumer.js'), key])
    assert.equal(stdout, 'function\n')
  })
})
