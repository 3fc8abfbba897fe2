import type { InviteRequest } from '../../index.ts'
import { parseJson } from '../../text/json.ts'
import {
  badRequest, CONTROL_LIMITS, recordOf, type Command, type CommandArguments, type ControlRequest,
  type EvacuateArguments, type KeysArguments, type MigrateArguments, type TunnelArguments,
} from './protocol.ts'

type Fields = Record<string, unknown>

/** Reads the arguments of each command; throws PagemeshError `bad-request` for what does not belong to it. */
const READERS: { [Name in Command]: (fields: Fields) => CommandArguments[Name] } = {
  ping: nothing,
  status: nothing,
  cluster: nothing,
  peers: nothing,
  metrics: nothing,
  pages: upTo(CONTROL_LIMITS.pagesMax),
  history: upTo(CONTROL_LIMITS.recordsMax),
  audit: upTo(CONTROL_LIMITS.auditMax),
  examine: decodeExamine,
  acceptPeer: decodeAcceptPeer,
  invite: decodeInvite,
  keys: decodeKeys,
  held: oneGuest,
  recover: oneGuest,
  migrate: decodeMigrate,
  evacuate: decodeEvacuate,
  tunnel: decodeTunnel,
  settle: decodeSettle,
  cancel: decodeCancel,
}

/** Parses one line of a client. Throws PagemeshError `bad-request`. */
export function decodeRequest(line: string): ControlRequest {
  const request = recordOf(parseJson(line))
  if (request === undefined) throw badRequest('A request is one JSON object on one line.')
  const { command, arguments: given = {}, ...others } = request
  refuseOthers(others)
  const fields = recordOf(given)
  if (fields === undefined) throw badRequest('`arguments` is an object.')
  // What is no text may be nested too deep to be written.
  if (typeof command !== 'string') throw badRequest('`command` is the name of a command.')
  if (!isCommand(command)) throw badRequest(`There is no command ${JSON.stringify(command)}.`)
  const read = READERS[command](fields)
  return (read === undefined ? { command } : { command, arguments: read }) as ControlRequest
}

function isCommand(command: unknown): command is Command {
  return typeof command === 'string' && Object.hasOwn(READERS, command)
}

function nothing(fields: Fields): undefined {
  refuseOthers(fields)
}

function upTo(most: number): (fields: Fields) => { countMax: number } {
  return ({ countMax, ...others }) => {
    refuseOthers(others)
    return { countMax: countOf('countMax', countMax, most) }
  }
}

function oneGuest({ guest, ...others }: Fields): { guest: string } {
  refuseOthers(others)
  return { guest: nameOf('guest', guest) }
}

function decodeExamine({ to, ...others }: Fields): CommandArguments['examine'] {
  refuseOthers(others)
  return to === undefined ? {} : { to: nameOf('to', to) }
}

function decodeCancel({ guest, ...others }: Fields): CommandArguments['cancel'] {
  refuseOthers(others)
  return guest === undefined ? {} : { guest: nameOf('guest', guest) }
}

function decodeAcceptPeer({ name, peerId, ...others }: Fields): CommandArguments['acceptPeer'] {
  refuseOthers(others)
  return { name: nameOf('name', name), ...(peerId === undefined ? {} : { peerId: peerIdOf(peerId) }) }
}

function decodeInvite({ ttlMs, uses, ...others }: Fields): InviteRequest {
  refuseOthers(others)
  const { ttlMsMax, usesMax } = CONTROL_LIMITS.invitation
  return { ttlMs: countOf('ttlMs', ttlMs, ttlMsMax), uses: countOf('uses', uses, usesMax) }
}

function decodeKeys({ action, key, id, here, without, ...others }: Fields): KeysArguments {
  refuseOthers(others)
  if (action === 'list') {
    if ([key, id, here, without].some((value) => value !== undefined)) throw badRequest('`list` has no arguments.')
    return { action }
  }
  const excused = without === undefined ? {} : { without: namesOf('without', without) }
  if (action === 'install' && id === undefined) {
    return { action, key: keyOf(key), ...trueOrFalse('here', here), ...excused }
  }
  if ((action === 'use' || action === 'remove') && key === undefined && here === undefined) {
    return { action, id: keyIdOf(id), ...excused }
  }
  throw badRequest('`action` is list, install, use or remove, with what belongs to it.')
}

function decodeSettle({ guest, decision, ...others }: Fields): CommandArguments['settle'] {
  refuseOthers(others)
  if (decision !== 'run' && decision !== 'end') throw badRequest('`decision` is run or end.')
  return { guest: nameOf('guest', guest), decision }
}

function decodeMigrate(fields: Fields): MigrateArguments {
  const {
    guest, to, mode, maxBandwidth, maxDowntimeMs, channels, timeoutMs, onTimeout, wait, dryRun, ...others
  } = fields
  refuseOthers(others)
  return {
    guest: nameOf('guest', guest),
    to: nameOf('to', to),
    ...modeOf(mode),
    ...positive('maxBandwidth', maxBandwidth),
    ...positive('maxDowntimeMs', maxDowntimeMs),
    ...channelsOf(channels),
    ...positive('timeoutMs', timeoutMs),
    ...onTimeoutOf(onTimeout),
    ...trueOrFalse('wait', wait),
    ...trueOrFalse('dryRun', dryRun),
  }
}

function decodeEvacuate(fields: Fields): EvacuateArguments {
  const { to, mode, parallel, maxBandwidth, maxDowntimeMs, timeoutMs, onTimeout, dryRun, ...others } = fields
  refuseOthers(others)
  return {
    ...(to === undefined ? {} : { to: namesOf('to', to) }),
    ...modeOf(mode),
    ...(parallel === undefined ? {} : { parallel: countOf('parallel', parallel, CONTROL_LIMITS.parallelMax) }),
    ...positive('maxBandwidth', maxBandwidth),
    ...positive('maxDowntimeMs', maxDowntimeMs),
    ...positive('timeoutMs', timeoutMs),
    ...onTimeoutOf(onTimeout),
    ...trueOrFalse('dryRun', dryRun),
  }
}

function onTimeoutOf(onTimeout: unknown): Pick<MigrateArguments, 'onTimeout'> {
  if (onTimeout === undefined) return {}
  if (onTimeout === 'cancel' || onTimeout === 'postcopy' || onTimeout === 'pause') return { onTimeout }
  throw badRequest('`onTimeout` is cancel, postcopy or pause.')
}

function modeOf(mode: unknown): Pick<MigrateArguments, 'mode'> {
  if (mode === undefined) return {}
  if (mode === 'precopy' || mode === 'postcopy') return { mode }
  throw badRequest('`mode` is precopy or postcopy.')
}

function decodeTunnel(fields: Fields): TunnelArguments {
  const { to, path, remotePath, mode, gid, ...others } = fields
  refuseOthers(others)
  return {
    to: nameOf('to', to),
    path: nameOf('path', path),
    ...(remotePath === undefined ? {} : { remotePath: nameOf('remotePath', remotePath) }),
    ...(mode === undefined ? {} : { mode: numberUpTo('mode', mode, 0o777) }),
    ...(gid === undefined ? {} : { gid: numberUpTo('gid', gid, 2 ** 32 - 2) }),
  }
}

function numberUpTo(key: string, value: unknown, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most) return value
  throw badRequest(`\`${key}\` is a whole number from 0 to ${most}.`)
}

function channelsOf(value: unknown): { channels?: number } {
  if (value === undefined) return {}
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > CONTROL_LIMITS.channelsMax) {
    throw badRequest(`\`channels\` is 1 to ${CONTROL_LIMITS.channelsMax}.`)
  }
  return { channels: value }
}

function positive<Key extends string>(key: Key, value: unknown): { [name in Key]?: number } {
  if (value === undefined) return {}
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw badRequest(`\`${key}\` is a number above 0.`)
  }
  return { [key]: value } as { [name in Key]?: number }
}

function trueOrFalse<Key extends string>(key: Key, value: unknown): { [name in Key]?: boolean } {
  if (value === undefined) return {}
  if (typeof value !== 'boolean') throw badRequest(`\`${key}\` is true or false.`)
  return { [key]: value } as { [name in Key]?: boolean }
}

function countOf(key: string, value: unknown, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most) return value
  throw badRequest(`\`${key}\` is a whole number from 1 to ${most}.`)
}

function nameOf(key: string, value: unknown): string {
  if (typeof value === 'string' && value !== '' && value.length <= CONTROL_LIMITS.nameCharactersMax) return value
  throw badRequest(`\`${key}\` is a name of 1 to ${CONTROL_LIMITS.nameCharactersMax} characters.`)
}

function namesOf(key: string, value: unknown): string[] {
  if (Array.isArray(value) && value.length <= CONTROL_LIMITS.hostsMax) return value.map((name) => nameOf(key, name))
  throw badRequest(`\`${key}\` is a list of hosts.`)
}

/** 32 bytes: the last character has two bits that mean nothing. */
function keyOf(value: unknown): string {
  if (typeof value === 'string' && /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/.test(value)) return value
  throw badRequest('`key` is a cluster key.')
}

function keyIdOf(value: unknown): string {
  if (typeof value === 'string' && /^[0-9a-f]{16}$/.test(value)) return value
  throw badRequest('`id` is the id of a cluster key: 16 hex digits, as `pagemesh keys` shows it.')
}

function peerIdOf(value: unknown): string {
  if (typeof value === 'string' && /^[A-Za-z0-9]{1,96}$/.test(value)) return value
  throw badRequest('`peerId` is the identity of a host, letters and digits.')
}

function refuseOthers(others: Fields): void {
  const [key] = Object.keys(others)
  if (key !== undefined) throw badRequest(`The field ${JSON.stringify(key)} is unknown here.`)
}
