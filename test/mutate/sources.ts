/** The source as syntax trees, by TypeScript's own API, and the faults that can be made in it. */
import { readdirSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

import { API } from 'typescript/unstable/sync'

import { faultAt, withFault, type Fault, type HandMadeFault } from './fault.ts'
import { faultsIn } from './operators.ts'

export const ROOT = normalize(fileURLToPath(new URL('../../', import.meta.url)))

/** Folders of src that exist. */
export function listFolders(): string[] {
  return readdirSync(join(ROOT, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
    .map(({ name }) => name).sort()
}

/** The faults that the operators make in these folders. */
export function generateFaults(folders: readonly string[]): Fault[] {
  const files = folders.flatMap((folder) => readdirSync(join(ROOT, 'src', folder), { recursive: true })
    .map((path) => join('src', folder, String(path)))).filter((path) => path.endsWith('.ts')).sort()
  const api = new API({ cwd: ROOT })
  try {
    const project = api.updateSnapshot({ openProjects: [join(ROOT, 'src/tsconfig.json')] }).getProjects()[0]
    return files.flatMap((file) => {
      const source = project?.program.getSourceFile(join(ROOT, file))
      if (source === undefined) throw new Error(`${file} is not part of src/tsconfig.json`)
      return faultsIn(source, file).filter((fault) => canBeRead(withFault(source.text, fault)))
    })
  } finally {
    api.close()
  }
}

/** Whether Node accepts it as TypeScript: an unreadable file tells nothing about the tests. */
function canBeRead(text: string): boolean {
  try {
    stripTypeScriptTypes(text)
    return true
  } catch {
    return false
  }
}

/** A fault of the kept list; throws if its text is not found, or not unique. */
export function placeFault({ file, find, replace, noticedBy }: HandMadeFault): Fault {
  const text = readFileSync(join(ROOT, file), 'utf8')
  const start = text.indexOf(find)
  if (start === -1) throw new Error(`${file} does not contain: ${find}`)
  if (text.indexOf(find, start + 1) !== -1) throw new Error(`${file} contains more than once: ${find}`)
  const place = { start, end: start + find.length, replacement: replace, kind: 'by hand' }
  return { ...faultAt({ file, text }, place), noticedBy }
}
