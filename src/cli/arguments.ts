import { InvalidArgumentError, Option, type Command } from 'commander'

import { CONTROL_LIMITS } from '../daemon/control/index.ts'
import type { MigrationMode } from '../index.ts'
import { parseRate } from '../text/units.ts'

/** The agent's default control socket. */
const CONTROL_DEFAULT = '/run/pagemesh/control.sock'
/** Where the README puts it. */
export const CONFIG_DEFAULT = '/etc/pagemesh/agent.yaml'

export interface AgentFlags {
  control: string
  json?: true
}

/** Adds the flags of every command that talks to a running agent. */
export function withAgentFlags(command: Command): Command {
  return command
    .option('--control <socket>', 'control socket of this host\'s agent', CONTROL_DEFAULT)
    .option('--json', 'one JSON object on standard output, nothing else there')
}

export interface HostFlags {
  config: string
  control?: string
}

/** The flags of commands that look at a host with or without its agent. */
export function withHostFlags(command: Command): Command {
  return command
    .option('--config <file>', 'configuration of this host\'s agent, YAML', CONFIG_DEFAULT)
    .option('--control <socket>', 'control socket of this host\'s agent; default: as the configuration says')
}

/** `--top`: how many records to show, at most `most`. */
export function topOption(what: string, most: number, byDefault: number): Option {
  return new Option('--top <count>', `number of ${what}, 1 to ${most}`).default(byDefault).argParser((text) => {
    if (/^\d{1,6}$/.test(text) && Number(text) > 0 && Number(text) <= most) return Number(text)
    throw new InvalidArgumentError(`Expected a whole number from 1 to ${most}, such as 100.`)
  })
}

/** Parses a rate into bytes a second. */
export function rateArgument(text: string): number {
  const bytesPerSecond = parseRate(text)
  if (bytesPerSecond !== undefined && bytesPerSecond > 0) return bytesPerSecond
  throw new InvalidArgumentError('Expected a rate such as 500Mbit or 60MB/s.')
}

/** Parses milliseconds. */
export function millisecondsArgument(text: string): number {
  if (/^\d{1,9}$/.test(text) && Number(text) > 0) return Number(text)
  throw new InvalidArgumentError('Expected a whole number of milliseconds above 0, such as 300.')
}

/** Parses the number of QEMU's channels; `auto`: as its QEMU is set. */
export function channelsArgument(text: string): number | 'auto' {
  if (text === 'auto') return text
  if (/^\d{1,2}$/.test(text) && Number(text) >= 1 && Number(text) <= CONTROL_LIMITS.channelsMax) return Number(text)
  throw new InvalidArgumentError(`Expected a whole number from 1 to ${CONTROL_LIMITS.channelsMax}, or auto.`)
}

/** Parses seconds into milliseconds. */
export function secondsArgument(text: string): number {
  if (/^\d{1,7}(?:\.\d{1,3})?$/.test(text) && Number(text) > 0) return Math.round(Number(text) * 1000)
  throw new InvalidArgumentError('Expected a number of seconds above 0, such as 600.')
}

/** What becomes of a pre-copy that has not switched over in time. */
export function onTimeoutOption(): Option {
  return new Option('--on-timeout <what>', 'then, if it moves: cancel (default), or finish by post-copy, or by a pause')
    .choices(['cancel', 'postcopy', 'pause'])
}

/** Refuses `--on-timeout` where it would mean nothing. */
export function requireTimeout(
  command: Command, { onTimeout, timeout, mode }: { onTimeout?: unknown; timeout?: number; mode: MigrationMode },
): void {
  if (onTimeout === undefined || (timeout !== undefined && mode !== 'postcopy')) return
  command.error('error: --on-timeout needs --timeout, and is for --mode precopy.')
}

/** Parses a time such as `90s`, `30m`, `1h` or `2d` into milliseconds. */
export function durationArgument(text: string): number {
  const [, number, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const seconds = Number(number) * ({ s: 1, m: 60, h: 3600, d: 86_400 }[unit ?? ''] ?? 0)
  if (seconds > 0 && seconds <= 7 * 86_400) return seconds * 1000
  throw new InvalidArgumentError('Expected a time of 1s to 7d, such as 15m or 1h.')
}

/** A number of guests, or of hosts. */
export function countArgument(text: string): number {
  if (/^\d{1,2}$/.test(text) && Number(text) > 0) return Number(text)
  throw new InvalidArgumentError('Expected a whole number from 1 to 99.')
}

/** Names separated by commas. */
export function namesArgument(text: string): string[] {
  return text.split(',').map((name) => nameArgument(name.trim()))
}

export function nameArgument(text: string): string {
  if (text.trim() !== '' && text.length <= 255) return text
  throw new InvalidArgumentError('Expected a name of 1 to 255 characters.')
}
