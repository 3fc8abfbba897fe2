import { systemClock } from '../../src/runtime/clock.ts'
import { startProcess, waitFor, type LabHost, type LabProcess } from '../../testnet/index.ts'

const SCRIPT = new URL('streamprocess.ts', import.meta.url).pathname
const STREAM_TIMEOUT_MS = 60_000

/** The bytes of a connection, as counted by either end. */
export interface Streamed {
  bytes: number
  /** CRC-32. */
  check: number
}

/** A source's figures: the time it took, and its own processor time. */
export interface Written extends Streamed {
  ms: number
  cpuSeconds: number
}

/** Processes of streamprocess.ts; all end with `stop`. */
export class StreamEnds {
  readonly #processes: LabProcess[] = []

  /** Starts a listener; resolves to its process. */
  async listen(host: LabHost, role: 'sink' | 'relay', ...words: readonly (string | number)[]): Promise<LabProcess> {
    const started = this.#start(host, role, words)
    await said(started, 1)
    return started
  }

  /** Writes bytes to a listener, and resolves when its sink has them all: to what was written, and what arrived. */
  async stream(
    { from, sink }: { from: LabHost; sink: LabProcess }, to: string, port: number, bytes: number, seed: number,
  ): Promise<{ written: Written; arrived: Streamed }> {
    const before = linesOf(sink).length
    const source = this.#start(from, 'source', [to, port, bytes, seed])
    const written = JSON.parse((await said(source, 1)).at(-1)!) as Written
    return { written, arrived: JSON.parse((await said(sink, before + 1)).at(-1)!) as Streamed }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#processes.splice(0).map((one) => one.kill()))
  }

  #start(host: LabHost, role: string, words: readonly (string | number)[]): LabProcess {
    const started = startProcess(host.exec, [process.execPath, SCRIPT, role, ...words.map(String)])
    this.#processes.push(started)
    return started
  }
}

function linesOf({ errors }: LabProcess): string[] {
  return errors.split('\n').filter((line) => line !== '')
}

async function said(process: LabProcess, count: number): Promise<string[]> {
  return await waitFor(() => {
    if (!process.running && linesOf(process).length < count) throw new Error('it ended')
    return linesOf(process).length >= count ? linesOf(process) : undefined
  }, { clock: systemClock, what: 'a stream', timeoutMs: STREAM_TIMEOUT_MS, pauseMs: 20 })
}
