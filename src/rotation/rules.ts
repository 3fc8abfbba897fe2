/** Which steps of a rotation are refused, here and by each member for itself. Pure. */
import { PagemeshError } from '../runtime/errors.ts'

/** Ids of the keys of a host: the one that it uses, then the others that it accepts. */
export type KeyIds = readonly string[]

/** What a member proved to hold, or why that is not known. */
export type MemberKeys = { host: string; ids: KeyIds; removed: readonly string[] } | { host: string; why: string }

/** Why a host cannot install this key, by its own keys. */
export function cannotInstall(own: KeyIds, id: string, removed: readonly string[]): PagemeshError | undefined {
  if (removed.includes(id)) {
    return refusal('key-removed', `The key ${id} was removed from this cluster before.`,
      'A removed key is never taken again. Make a new one with `pagemesh keygen`.', { id })
  }
  if (own.includes(id) || own.length < 2) return undefined
  return refusal('keys-full', `This host has two cluster keys already: ${own.join(' and ')}.`,
    `Remove one first: \`pagemesh keys remove ${own[1]}\` removes the one that is not used.`, { id })
}

/** Why a host cannot use this key. */
export function cannotUse(own: KeyIds, id: string): PagemeshError | undefined {
  return own.includes(id) ? undefined : unknown(own, id)
}

/** Why a host cannot remove this key. One that it does not have is removed already. */
export function cannotRemove(own: KeyIds, id: string): PagemeshError | undefined {
  if (own[0] !== id) return undefined
  return refusal('key-in-use', `The key ${id} is the one that this host uses.`,
    own[1] === undefined ? 'Install another first, and use that.'
      : `Use the other first: \`pagemesh keys use ${own[1]}\`.`, { id })
}

/** Why the members are not ready to have this key installed. */
export function unreadyToInstall(members: readonly MemberKeys[], id: string): PagemeshError | undefined {
  return unready('install', members, ({ ids, removed }) => {
    if (removed.includes(id)) return 'had it removed before'
    return ids.includes(id) || ids.length < 2 ? undefined : `has two already, ${ids.join(' and ')}`
  })
}

/** Why the members are not ready for a host that uses this key: each must accept it. */
export function unreadyToUse(members: readonly MemberKeys[], id: string): PagemeshError | undefined {
  return unready('use', members, ({ ids }) => (ids.includes(id) ? undefined : 'does not have it'))
}

/** Why the members are not ready for a host that no longer accepts this key: each must use the one that remains. */
export function unreadyToRemove(members: readonly MemberKeys[], id: string, kept: string): PagemeshError | undefined {
  return unready('remove', members, ({ ids }) => {
    if (ids[0] === id) return 'still uses it'
    return ids[0] === kept ? undefined : `uses another, ${ids[0]}`
  })
}

/** Why a key is not removed although the members are ready: hosts that are known and not here may need it. */
export function leavesBehind(absent: readonly string[], id: string): PagemeshError | undefined {
  if (absent.length === 0) return undefined
  const message = `Not known to use another key than ${id}: ${absent.join(', ')}, which cannot be reached.`
  return refusal('key-unready', message,
    'Start them and wait until they are here. To leave a host behind, name it: ' +
      `--without ${absent.join(',')}. It then needs the new key by hand.`, { id, hosts: absent })
}

function unready(
  step: string, members: readonly MemberKeys[],
  judge: (member: Extract<MemberKeys, { ids: KeyIds }>) => string | undefined,
): PagemeshError | undefined {
  const found = members.flatMap((member) => {
    const why = 'why' in member ? `did not answer (${member.why})` : judge(member)
    return why === undefined ? [] : [{ host: member.host, why }]
  })
  if (found.length === 0) return undefined
  const said = found.map(({ host, why }) => `${host} ${why}`).join('; ')
  return refusal('key-unready', `Not every member is ready to ${step} that key: ${said}.`,
    'Mend that, or stop the agents there; nothing was changed here. `pagemesh keys` shows what each host has.',
    { hosts: found.map(({ host }) => host) })
}

function unknown(own: KeyIds, id: string): PagemeshError {
  return refusal('key-unknown', `This host has no cluster key ${id}.`,
    `It has ${own.join(' and ')}. Install it first: \`pagemesh keys install FILE\`.`, { id })
}

function refusal(
  code: 'key-removed' | 'keys-full' | 'key-unknown' | 'key-in-use' | 'key-unready', message: string, advice: string,
  data: Record<string, unknown>,
): PagemeshError {
  return new PagemeshError(code, message, { fault: 'usage', advice, data })
}
