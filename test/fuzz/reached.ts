/** Which decoders of the sources ran, by V8's own count: a list by hand would grow old. */
import { Session } from 'node:inspector/promises'

import { code, listFiles, read } from '../tidy/sources.ts'

export interface Decoder {
  /** `src/folder/file.ts name`. */
  name: string
  path: string
  /** Where it stands in the file; types are stripped to blanks, so that places stay. */
  from: number
  behind: number
}

/** What reads bytes, texts or values from outside is called so, or is a guard of an unknown value. */
const FUNCTION = /^(?:export )?(?:async )?function ((?:decode|parse|read|unpack)\w*|is\w+(?=\(value: unknown))\(/gm
const CLASS = /^(?:export )?class (\w*(?:Cutter|Reader|Decoder))\b/gm

/** The decoders of src, but for those of the commands and of the package. */
export function listDecoders(): Decoder[] {
  const files = listFiles('src').filter((path) => path.endsWith('.ts') && !/^src\/(cli|debian)\//.test(path))
  return files.flatMap((path) => [FUNCTION, CLASS].flatMap((pattern) => [...code(path).matchAll(pattern)]
    .map((match) => ({ name: `${path} ${match[1]}`, path, ...placeOf(path, match[0]) }))))
}

/** From the line that begins so to the brace that closes it, in the file as it is. */
function placeOf(path: string, begin: string): { from: number; behind: number } {
  const text = read(path)!
  const from = text.indexOf(begin)
  return { from, behind: text.indexOf('\n}', from) }
}

/** Runs `work`, and says which of the decoders did not run in it. */
export async function unreachedBy(decoders: readonly Decoder[], work: () => Promise<void>): Promise<string[]> {
  const session = new Session()
  session.connect()
  try {
    await session.post('Profiler.enable')
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
    await work()
    const { result } = await session.post('Profiler.takePreciseCoverage')
    const called = result.flatMap(({ url, functions }) => functions.flatMap(({ functionName, ranges }) => {
      const [range] = ranges
      const isBody = functionName !== '' && range !== undefined && range.count > 0
      return isBody ? [{ url, from: range.startOffset }] : []
    }))
    const isReached = ({ path, from, behind }: Decoder): boolean =>
      called.some((one) => one.url.endsWith(`/${path}`) && one.from >= from && one.from < behind)
    return decoders.filter((decoder) => !isReached(decoder)).map(({ name }) => name)
  } finally {
    session.disconnect()
  }
}
