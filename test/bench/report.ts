import { cpus, loadavg, totalmem } from 'node:os'

import { formatBytes } from '../../src/index.ts'
import type { Spread } from './measure.ts'
import type { BenchOutcome } from './run.ts'

/** Where and how the figures were measured; without this they mean little. */
export interface Circumstances {
  command: string
  cpu: string
  cpus: number
  memoryBytes: number
  node: string
  /** Over the last minute, before the benches: other load widens the spread. */
  load: number
}

export function circumstances(command: string): Circumstances {
  return {
    command, cpu: cpus()[0]?.model ?? 'unknown', cpus: cpus().length, memoryBytes: totalmem(), node: process.version,
    load: loadavg()[0]!,
  }
}

/** The report for people. Pure. */
export function formatReport(outcome: BenchOutcome, about: Circumstances): string {
  const { handoff, pagesPerSecond, stateBytesPerPage } = outcome
  const rows = outcome.sides.map(({ name, bytesPerSecond, ratio }) =>
    `  ${name.padEnd(16)} ${spread(ratio, 2).padEnd(24)} ${formatBytes(bytesPerSecond.median)}/s`)
  return [
    `${about.command}: ${outcome.pages} pages, ${formatBytes(outcome.streamBytes)} of stream, seed ${outcome.seed}, ` +
      `${outcome.rounds} rounds, all sides in turn`,
    formatCircumstances(about),
    '',
    `  ${'rate'.padEnd(16)} ${'beside the plain copy'.padEnd(24)} median`,
    ...rows,
    '',
    'The plain copy takes the stream through a UNIX and a TCP socket. Medians; lowest to highest round in brackets.',
    'A whole handoff is both agents, their TLS lane and both QEMUs\' sockets in this one process.',
    'The encoder is parsing, hashing and looking up, without zstd.',
    '',
    `  pages hashed     ${thousands(pagesPerSecond.hashed)} a second (${outcome.kernel}), ` +
      `${thousands(pagesPerSecond.hashedByPackage)} by the package`,
    `  pages resident   ${thousands(pagesPerSecond.resident)} a second, had from another guest's memory`,
    `  passage          ${outcome.passageSecondsPerGb.toFixed(2)} s of processor time a GB, both ends, without sockets`,
    `  prefix table     ${stateBytesPerPage.prefixTable.toFixed(1)} bytes a page`,
    `  census           ${stateBytesPerPage.census.toFixed(1)} bytes a page`,
    `  on the wire      ${formatBytes(handoff.wireBytes)} for ${formatBytes(handoff.qemuBytes)} of QEMU's, ` +
      `${(handoff.wireBytes / handoff.qemuBytes).toFixed(3)} of it: ${handoff.pages.zero} zero pages, ` +
      `${handoff.pages.ref} refs, ${handoff.pages.literal} literals`,
  ].join('\n')
}

export function formatCircumstances({ cpu, cpus: count, memoryBytes, node, load }: Circumstances): string {
  return `${cpu}, ${count} CPUs, ${formatBytes(memoryBytes)}, Node ${node}, load ${load.toFixed(1)} before`
}

function spread({ median, min, max }: Spread, digits: number): string {
  return `${median.toFixed(digits)}x  (${min.toFixed(digits)} to ${max.toFixed(digits)})`
}

function thousands(count: number): string {
  return `${(count / 1000).toFixed(0)} thousand`
}
