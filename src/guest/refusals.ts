import { PagemeshError } from '../runtime/errors.ts'
import type { GuestState } from './guest.ts'
import { asText } from './qmpvalue.ts'

/** Capabilities that prevent a handoff, with the reason; the operator must turn them off. */
const REFUSED_CAPABILITIES: Readonly<Record<string, string>> = {
  'x-colo': 'the guest is replicated by COLO',
  'rdma-pin-all': 'RDMA does not pass through a socket',
  'x-ignore-shared': 'shared memory would stay behind',
}

/** Capabilities that are turned off for a handoff: they only change how QEMU encodes the stream. */
export const TURNED_OFF: Readonly<Record<string, false>> = {
  compress: false, 'background-snapshot': false, 'mapped-ram': false, 'zero-copy-send': false,
}

/** States from which a guest can be moved. `prelaunch`: started with -S and never let run. */
const MOVABLE: ReadonlySet<GuestState> = new Set<GuestState>([
  'running', 'paused', 'prelaunch', 'shutdown', 'guest-panicked', 'io-error', 'watchdog',
])

/** States from which a guest is not let run: its power is off, or its kernel has panicked. */
export const ENDED: ReadonlySet<GuestState> = new Set<GuestState>(['shutdown', 'guest-panicked', 'internal-error'])

/** Why a guest in this state cannot move; undefined if it can. */
export function stateRefusal(
  guest: string, { state, status, major }: { state: GuestState; status: string; major: number },
): PagemeshError | undefined {
  if (MOVABLE.has(state) || isLeftBehind(state, status) || (state === 'suspended' && major >= 9)) return undefined
  const why = state === 'suspended' ? 'it is suspended, and QEMU before 9.0 would wake it' : `its state is ${state}`
  return notMovable(guest, why, stateAdvice(state), { state })
}

/**
 * Whether a paused guest was left in `postmigrate` by a migration that was cancelled or failed near its end; QEMU
 * before 9.0 has no other state for it. The guest never left.
 */
export function isLeftBehind(state: GuestState, status: string): boolean {
  return state === 'postmigrate' && (status === 'cancelled' || status === 'failed')
}

/** The error if the source's settings would hide pages from the agent, with the remedy; otherwise undefined. */
export function sourceSettingsRefusal(
  guest: string, capabilities: ReadonlyMap<string, boolean>, parameters: Record<string, unknown>,
): PagemeshError | undefined {
  for (const [capability, why] of Object.entries(REFUSED_CAPABILITIES)) {
    if (capabilities.get(capability) !== true) continue
    const remedy = { execute: 'migrate-set-capabilities', arguments: { capabilities: [{ capability, state: false }] } }
    return notMovable(guest, `its migration capability ${capability} is on: ${why}`,
      `Turn it off over QMP: ${JSON.stringify(remedy)}`, { capability })
  }
  const credentials = asText(parameters['tls-creds'])
  if (credentials === '') return undefined
  const remedy = { execute: 'migrate-set-parameters', arguments: { 'tls-creds': '' } }
  return notMovable(guest, `QEMU would encrypt the stream (tls-creds is ${credentials})`,
    `Hosts encrypt among themselves; turn QEMU's TLS off over QMP: ${JSON.stringify(remedy)}`, { credentials })
}

export function busyRefusal(guest: string, status: string): PagemeshError {
  return notMovable(guest, `a migration of it is ${status}`, 'Wait for it, or stop it with migrate_cancel.', { status })
}

export function unfinishedRefusal(guest: string, status: string): PagemeshError {
  return notMovable(
    guest, `its QEMU has not cleaned up its last migration (${status}) and accepts no other one`,
    'Try again later. If QEMU never finishes, the guest can move only after a restart.', { status })
}

export function blockerRefusal(guest: string, blockers: readonly string[]): PagemeshError {
  return notMovable(guest, `QEMU says: ${blockers.join('; ')}`,
    'Take away what QEMU names, for example unplug that device.', { blockers })
}

function notMovable(guest: string, why: string, advice: string, data: Record<string, unknown>): PagemeshError {
  return new PagemeshError('guest-not-movable', `Guest ${guest} cannot move: ${why}.`.replace(/\.\.$/, '.'), {
    fault: 'guest', phase: 'preparing the source', advice, data: { guest, ...data },
  })
}

function stateAdvice(state: GuestState): string {
  if (state === 'postmigrate') return 'It has moved already; its process here can be ended.'
  if (state === 'inmigrate') return 'It waits for a migration itself: migrate it from the host that it runs on.'
  if (state === 'suspended') return 'Wake it over QMP: {"execute":"system_wakeup"}'
  return 'Bring it to running or paused first.'
}

/** Whether QEMU was started with an address to listen at: it takes the stream there, and shows no migration before. */
export function isBegunAlready(error: unknown): boolean {
  return error instanceof PagemeshError && /already been started/.test(String(error.data['desc']))
}

export function notWaiting(guest: string, why: string, data: Record<string, unknown>): PagemeshError {
  return new PagemeshError('no-waiting-guest', `Guest ${guest} does not wait for a migration: ${why}.`, {
    fault: 'guest',
    phase: 'preparing the destination',
    advice: 'Start QEMU there with the same machine and -name as the source, and with -incoming defer.',
    data: { guest, ...data },
  })
}

export function notLoaded(guest: string): PagemeshError {
  return new PagemeshError('guest-not-loaded', `Guest ${guest} has not arrived whole yet and cannot run.`, {
    fault: 'guest', phase: 'releasing the destination', data: { guest },
  })
}

/** QEMU refused to run the guest or to activate its disks; `words` are QEMU's. */
export function cannotRun(guest: string, words: string, cause?: unknown): PagemeshError {
  const message = `Guest ${guest} is whole but cannot run: ${words}.`.replace(/\.\.$/, '.')
  return new PagemeshError('guest-cannot-run', message, {
    fault: 'guest', phase: 'releasing the guest', data: { guest, words }, cause,
    advice: 'It stays paused as it is. Free what QEMU names, mostly a disk that another process holds.',
  })
}
