import { PagemeshError } from '../runtime/errors.ts'
import { readBackings } from './backing.ts'
import { DESCRIPTION_BYTES_MAX, type BlockDescription, type MachineDescription } from './description.ts'
import { listDevices, parseDeviceTree } from './devicetree.ts'
import type { ProcessMemoryBlock } from './memory.ts'
import { formatQemuVersion } from './qemuversion.ts'
import type { QmpSession } from './qmpsession.ts'
import { asList, asRecord, asText } from './qmpvalue.ts'
import { parseRamBlocks } from './ramblock.ts'
import { readCapabilities } from './settings.ts'
import { queryBlockers } from './status.ts'

/** Capabilities that must be equal at both ends. */
const AGREED_CAPABILITIES = ['switchover-ack', 'validate-uuid', 'dirty-bitmaps', 'x-ignore-shared']

export interface DescribeInit {
  pid: number
  blocks: readonly ProcessMemoryBlock[]
  startsPaused: boolean
}

/** Queries QEMU for the description. Leaves out what it refuses, such as commands of later versions. */
export async function describeMachine(
  qmp: QmpSession, { pid, blocks: knownBlocks, startsPaused }: DescribeInit,
): Promise<MachineDescription> {
  // Sent all at once: a busy QEMU may delay each answer.
  const [type, accelerator, cpus, tree, capabilities, blocks, blockers] = await Promise.all([
    told(qmp.execute('qom-get', { path: '/machine', property: 'type' })), told(qmp.execute('query-kvm')),
    describeCpus(qmp), told(qmp.hmp('info qtree')), told(readCapabilities(qmp)),
    describeBlocks(qmp, readBackings(pid, knownBlocks)), told(queryBlockers(qmp)),
  ])
  const machine = asText(type)
  const kvm = asRecord(accelerator)['enabled']
  const devices = parseDeviceTree(asText(tree))
  const description: MachineDescription = {
    qemuVersion: formatQemuVersion(qmp.version),
    ...(machine === '' ? {} : { machine: machine.replace(/-machine$/, '') }),
    ...(typeof kvm === 'boolean' ? { accelerator: kvm ? 'kvm' : 'tcg' } : {}),
    ...(cpus === undefined ? {} : { cpus }),
    blocks,
    capabilities: Object.fromEntries(AGREED_CAPABILITIES.flatMap((name) => {
      const state = capabilities?.get(name)
      return state === undefined ? [] : [[name, state]]
    })),
    blockers: blockers ?? [],
    startsPaused,
  }
  if (devices.length === 0) return description
  for (let listedMax = devices.length; ; listedMax = Math.floor(listedMax / 2)) {
    const whole = { ...description, devices: listDevices(devices, listedMax) }
    if (listedMax === 0 || Buffer.byteLength(JSON.stringify(whole)) <= DESCRIPTION_BYTES_MAX) return whole
  }
}

async function describeCpus(qmp: QmpSession): Promise<{ count: number; type?: string } | undefined> {
  const [cpus, pluggable] = await Promise.all([
    told(qmp.execute('query-cpus-fast')), told(qmp.execute('query-hotpluggable-cpus')),
  ])
  const count = asList(cpus).length
  if (count === 0) return undefined
  const slots = asList(pluggable).map(asRecord)
  const type = asText(slots.find((slot) => 'qom-path' in slot)?.['type'])
  return type === '' ? { count } : { count, type }
}

async function describeBlocks(qmp: QmpSession, backings: ReadonlyMap<string, string>): Promise<BlockDescription[]> {
  const lines = parseRamBlocks(await told(qmp.hmp('info ramblock')) ?? '')
  return lines.map(({ name, usedBytes, totalBytes, pageBytes }) => {
    const backing = backings.get(name)
    return {
      name, bytes: usedBytes, bytesMax: totalBytes, pageBytes, ...(backing === undefined ? {} : { backing }),
    }
  })
}

/** QEMU's answer; undefined if it refused. */
async function told<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof PagemeshError && error.code === 'qmp-error') return undefined
    throw error
  }
}
