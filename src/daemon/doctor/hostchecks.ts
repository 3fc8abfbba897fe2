/** What the host itself grants: rights, the kernel's switches, disk. Pure. */
import { AGENT_RIGHTS, INTERCEPT_RIGHT, RIGHTS_ADVICE } from '../../host/rights.ts'
import { formatPortRange } from '../../net/portranges.ts'
import { formatBytes } from '../../text/units.ts'
import type { Facts } from './facts.ts'
import { check, type Finding } from './finding.ts'

const PTRACE = AGENT_RIGHTS.find(({ name }) => name === 'CAP_SYS_PTRACE')!
/** From here on Yama lets nobody read another process. */
const NOBODY_SCOPE = 3

export function judgeHost(facts: Facts): Finding[] {
  return [
    ...judgeRights(facts), judgePtrace(facts), judgePagemap(facts), judgeUserfaultfd(facts), ...judgeIntercept(facts),
    ...judgeKernel(facts), ...judgeStore(facts),
  ]
}

/** A right that the QEMUs here do without is no fault, but the next QEMU may need it. */
function judgeRights({ rights, qemus, intercept }: Facts): Finding[] {
  const wanted = [...AGENT_RIGHTS, ...(intercept.ports.length === 0 ? [] : [INTERCEPT_RIGHT])]
  const lacking = wanted.filter(({ bit }) => !rights.capabilities.includes(bit))
  if (lacking.length === 0) return [check('rights').ok(`${wanted.map(({ name }) => name).join(', ')}.`)]
  const isOthers = qemus.some(({ uid }) => uid !== rights.uid)
  return lacking.map(({ name, why }) => {
    const found = `The right ${name} is missing, for ${why}.`
    const isNeeded = name === INTERCEPT_RIGHT.name || isOthers
    return isNeeded ? check('rights', name).broken(found, adviceFor(name)) : check('rights', name)
      .warning(`${found} Only QEMUs of the agent's own user can be guests.`, adviceFor(name))
  })
}

function adviceFor(name: string): string {
  return name === INTERCEPT_RIGHT.name ? `Add ${name} to AmbientCapabilities and CapabilityBoundingSet of the unit.`
    : RIGHTS_ADVICE
}

function judgePtrace({ ptraceScope, rights }: Facts): Finding {
  const about = check('ptrace scope')
  if (ptraceScope === null || ptraceScope === 0) return about.ok('Yama holds back nothing.')
  const advice = `Set kernel.yama.ptrace_scope to 1, or give the agent ${PTRACE.name}.`
  if (ptraceScope >= NOBODY_SCOPE) {
    return about.broken(`Yama lets nobody read another process (scope ${ptraceScope}).`,
      'Set kernel.yama.ptrace_scope=1 in /etc/sysctl.d and boot anew: this scope cannot be taken back.')
  }
  if (rights.capabilities.includes(PTRACE.bit)) {
    return about.ok(`Scope ${ptraceScope}, which ${PTRACE.name} passes.`)
  }
  return about.broken(`Yama lets only who has ${PTRACE.name} read other processes (scope ${ptraceScope}).`, advice)
}

function judgePagemap({ pagemap }: Facts): Finding {
  if (pagemap === null) return check('pagemap').ok('Which pages of a process are resident can be read.')
  return check('pagemap').broken(`/proc/self/pagemap cannot be read (${pagemap}): no guest can be scanned.`,
    'Take a kernel with CONFIG_PROC_PAGE_MONITOR, and a /proc that is not masked.')
}

/** QEMU needs it at the destination of a post-copy; nothing else does. */
function judgeUserfaultfd({ userfaultfd: { forAll, hasDevice }, qemus }: Facts): Finding {
  const about = check('userfaultfd')
  if (forAll === null && !hasDevice) {
    return about.warning('This kernel has no userfaultfd: no guest can come here in post-copy.',
      'Take a kernel with CONFIG_USERFAULTFD, or migrate to this host in pre-copy.')
  }
  if (forAll === true) return about.ok('Every QEMU may take part in post-copy.')
  const device = hasDevice ? ' /dev/userfaultfd is there, for QEMU 8.1 and later that may open it.' : ''
  const apart = qemus.filter(({ capabilities }) => !capabilities.includes(PTRACE.bit))
  if (qemus.length > 0 && apart.length === 0) return about.ok(`The QEMUs here have ${PTRACE.name}.${device}`)
  return about.warning(`Only a QEMU with ${PTRACE.name} can take a guest in post-copy.${device}`,
    'Set vm.unprivileged_userfaultfd=1, or migrate to this host in pre-copy.')
}

function judgeIntercept({ intercept: { ports, why } }: Facts): Finding[] {
  if (ports.length === 0) return []
  const what = `Connections to ports ${ports.map(formatPortRange).join(', ')} of members`
  if (why === null) return [check('interception').ok(`${what} can pass through the agent.`)]
  return [check('interception').broken(`${what} go direct: ${why}.`,
    'Mend that, or take `intercept` out of the configuration: guests move either way.')]
}

function judgeKernel({ kernel }: Facts): Finding[] {
  if (kernel === null) return []
  if (kernel !== 'package') return [check('hashing').ok(`Pages are hashed by the kernel in C, ${kernel}.`)]
  return [check('hashing').warning('Pages are hashed by the package, more slowly: there is no kernel in C.',
    'Install a C compiler and install Pagemesh anew; PAGEMESH_KERNEL=off switches the kernel off as well.')]
}

function judgeStore({ store, agent }: Facts): Finding[] {
  if (store === null) return []
  const { path, bytesMax, freeBytes, kind, isReadOnly } = store
  const about = check('store', path)
  if (isReadOnly) {
    return [about.broken(`${path} is on a file system that is mounted read-only.`,
      'Mount it for writing, or set another `store.path`.')]
  }
  const taken = agent.examination?.status.store.bytes ?? 0
  const lackingBytes = Math.max(0, bytesMax - taken - freeBytes)
  const sizes = `${formatBytes(taken)} of ${formatBytes(bytesMax)} at most are taken, ${formatBytes(freeBytes)} free`
  return [
    lackingBytes === 0 ? about.ok(`${sizes}.`) : about.warning(`${sizes}: ${formatBytes(lackingBytes)} too few.`,
      'Free some disk, or lower `store.maxBytes`: a full disk stops what else writes there.'),
    ...(kind === 'disk' ? [] : [check('store kind', path).warning(...KINDS[kind])]),
  ]
}

const KINDS: Record<'tmpfs' | 'nfs', [string, string]> = {
  tmpfs: [
    'The store is in memory (tmpfs): it takes memory from guests, and a boot loses the host\'s identity.',
    'Set `store.path` to a directory on a disk.',
  ],
  nfs: [
    'The store is on the network (NFS), where it cannot be locked: this host keeps no pages.',
    'Set `store.path` to a directory on a disk of this host.',
  ],
}
