/** What a QEMU answers over QMP, and what the kernel tells of processes that name things as they like. */
import assert from 'node:assert/strict'

import { describeMachine } from '../../../src/guest/describe.ts'
import { DESCRIPTION_BYTES_MAX, isMachineDescription } from '../../../src/guest/description.ts'
import { listDevices, parseDeviceTree } from '../../../src/guest/devicetree.ts'
import { keepsFrom, parseFileLocks } from '../../../src/guest/filelocks.ts'
import { findGuarded, isMapped, parseMapFlags, parseMaps } from '../../../src/guest/maps.ts'
import { parseMounts, placeOf } from '../../../src/guest/mounts.ts'
import { inodeAt } from '../../../src/guest/otherend.ts'
import { parsePeers } from '../../../src/guest/peer.ts'
import { processorTicks } from '../../../src/guest/processors.ts'
import { parseQemuArguments } from '../../../src/guest/qemuarguments.ts'
import { QmpCutter } from '../../../src/guest/qmpline.ts'
import type { QmpSession } from '../../../src/guest/qmpsession.ts'
import { asRecord, asText } from '../../../src/guest/qmpvalue.ts'
import { parseHostAddress, parseMemoryTree, parseRamBlocks, rangeOfBlock } from '../../../src/guest/ramblock.ts'
import { readSettings } from '../../../src/guest/settings.ts'
import { holdsMigration, queryBlockers, queryMigration, queryState } from '../../../src/guest/status.ts'
import { meansSame, parseUnixSockets } from '../../../src/guest/unixsockets.ts'
import type { Target } from '../target.ts'

const QMP_LINES = [
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}\r\n',
  '{"return": {"status": "completed", "ram": {"total": 1}}, "id": 3}\r\n',
  '{"error": {"class": "GenericError", "desc": "No."}, "id": 4}\r\n',
  '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP", "data": {"a": 1}}\r\n',
]
const PRETTY = '{\r\n    "return": {\r\n    },\r\n    "id": 1\r\n}\r\n'
const QMP_BYTES_MAX = 8000

const BLOCKS = `    Block Name    PSize              Offset               Used              Total             HVA  RO
                  pc.ram    4 KiB  0x0000000000000000 0x0000000004000000 0x0000000004000000 0x00007f8c77e00000  rw
   0000:00:02.0/vga.vram    2 MiB  0x0000000004080000 0x0000000001000000 0x0000000001000000 0x00007f8c76c00000  rw
`
const MEMORY_TREE = `FlatView #0
 AS "I/O", root: io
  0000000000000000-0000000000000007 (prio 0, i/o): dma-chan

FlatView #2
 AS "memory", root: system
 Root memory region: system
  0000000000000000-00000000000c2fff (prio 0, ram): pc.ram
  00000000000c3000-00000000000e7fff (prio 0, rom): pc.ram @00000000000c3000 KVM
`
const DEVICES = `bus: main-system-bus
  dev: i440FX-pcihost, id ""
    bus: pci.0
      dev: virtio-scsi-pci, id "s0"
        addr = 03.0
        bus: virtio-bus
          dev: virtio-scsi-device, id ""
            bus: s0.0
              dev: scsi-hd, id ""
                channel = 0 (0x0)
                scsi-id = 2 (0x2)
                lun = 1 (0x1)
      dev: usb-ehci, id ""
        addr = 04.0
        bus: usb-bus.0
          dev: usb-tablet, id ""
            addr 0.0, port 1, speed 480, name QEMU USB Tablet, attached
`
const MAPS = `557cbd625000-557cbe4a3000 rw-p 00000000 00:00 0                          [heap]
7f8c77e00000-7f8c7be00000 rw-p 00000000 00:00 0 
7f8c7be00000-7f8c7be01000 ---p 00000000 00:00 0 
7f8cc8c00000-7f8cc8c40000 rw-s 00000000 00:01 1031                       /memfd:ram (deleted)
`
const MOUNTS = '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n' +
  '29 22 0:24 /a\\040b /run/vms rw,nosuid - tmpfs tmpfs rw,size=805000k\n'
const FLAGS = `${MAPS.split('\n', 1)[0]}\nSize:   132 kB\nVmFlags: rd wr mr mw me ac mg sd \n`
const SOCKETS = `Num       RefCount Protocol Flags    Type St Inode Path
00000000a1518714: 00000002 00000000 00010000 0001 01  8547 /run/vms/a b.qmp
00000000a1518715: 00000003 00000000 00000000 0001 03  8548 /run/vms/a b.qmp
`
const PEERS = 'u_str ESTAB 0      0      /run/s 1121376 * 1121375\nu_str ESTAB 0 0 /run/s 12 * 13 \n'
const LOCKS = 'pos:\t0\nflags:\t0102002\nlock:\t1: OFDLCK ADVISORY  READ -1 fe:00:2180050 100 101\n' +
  'lock:\t2: POSIX  ADVISORY  WRITE 77 fe:00:2180050 200 EOF\n'
const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   1: 0100007F:9C41 0200407F:5014 01 00000000:00000000 00:00000000 00000000     0        0 1121375 1 0000000000000000 20
`
const STAT = '4711 (CPU 0/KVM) S 1 2 3 0 -1 4194560 1 0 0 0 12 34 0 0 20 0 4 0 1000 1 2\n'
const ARGUMENTS = [
  [
    'qemu-system-x86_64', '-name', 'guest=we,,b,debug-threads=on', '-m', '1.5G', '-uuid',
    `${'ab'.repeat(4)}-abab-abab-abab-${'ab'.repeat(6)}`,
  ],
  [
    'kvm', '-id', '100', '-chardev', 'socket,id=qmp,path=/var/run/qemu-server/100.qmp', '-incoming', 'defer',
    '-object', '{"qom-type":"memory-backend-memfd","size":4096,"merge":false}', '-machine', 'type=pc,mem-merge=off',
  ],
]
const ANSWERS = {
  'query-status': { status: 'running' }, 'query-kvm': { enabled: true }, 'qom-get': 'pc-i440fx-7.2-machine',
  'query-migrate': { status: 'active', ram: { transferred: 1, total: 2 }, 'blocked-reasons': ['No.'], downtime: 3 },
  'query-migrate-capabilities': [{ capability: 'switchover-ack', state: true }], 'query-migrate-parameters': { a: 1 },
  'query-cpus-fast': [{ 'thread-id': 7 }], 'query-hotpluggable-cpus': [{ type: 'qemu64', 'qom-path': '/a' }],
  'query-yank': [{ type: 'migration' }], 'info qtree': DEVICES, 'info ramblock': BLOCKS,
}

/** A session with a QEMU that answers everything by what the input says. */
function answering(answers: Record<string, unknown>): QmpSession {
  return {
    version: { major: 7, minor: 2, micro: 0 },
    execute: async (command: string) => answers[command],
    hmp: async (line: string) => asText(answers[line]),
  } as unknown as QmpSession
}

export const GUEST_TARGETS: readonly Target[] = [
  {
    name: 'qmp', seeds: [...QMP_LINES, QMP_LINES.join(''), PRETTY, PRETTY + QMP_LINES[1]], refusals: ['qmp-garbled'],
    words: ['"QMP"', '"return"', '"error"', '"event"', '"id"', '\r\n', '{\r\n', '}\r\n', '    '], bytesMax: 32 * 1024,
    decode(input) {
      const cutter = new QmpCutter(QMP_BYTES_MAX)
      const messages = []
      // Bytes of a slow QEMU, and then all that there is.
      const slow = Math.min(input.length, 200)
      for (let at = 0; at < slow; at++) messages.push(...cutter.push(input.subarray(at, at + 1)))
      messages.push(...cutter.push(input.subarray(slow)))
      return messages
    },
  },
  {
    name: 'qmp-answers', seeds: [JSON.stringify(ANSWERS)], room: 4 * 2 ** 20, share: 0.3,
    words: Object.keys(ANSWERS).map((key) => JSON.stringify(key)),
    async decode(input) {
      const answers = asRecord(parsed(input))
      const qmp = answering(answers)
      const migration = await queryMigration(qmp)
      assert.ok([migration.transferredBytes, migration.totalBytes].every(Number.isFinite))
      assert.ok((await queryBlockers(qmp)).every((reason) => typeof reason === 'string'))
      assert.equal(typeof await queryState(qmp), 'string')
      const { capabilities } = await readSettings(qmp)
      const described = await describeMachine(qmp, { pid: process.pid, blocks: [], startsPaused: false })
      // The other host refuses what is too long; whatever a QEMU says, the description has its form.
      const listed = described.devices?.listed.length ?? 0
      if (listed > 0) assert.ok(JSON.stringify(described).length <= DESCRIPTION_BYTES_MAX)
      return { status: migration.status, held: await holdsMigration(qmp), capabilities, listed }
    },
  },
  {
    name: 'ram-blocks', seeds: [BLOCKS, BLOCKS.replace(/ +HVA.*/, '')], room: 2 ** 20,
    decode: (input) => someOf(parseRamBlocks(input.toString())),
  },
  {
    name: 'memory-tree', seeds: [MEMORY_TREE], room: 2 ** 20,
    words: ['FlatView #3', ' AS "memory",', '(prio 0, ram): ', '@00'],
    decode(input) {
      const ranges = parseMemoryTree(input.toString())
      rangeOfBlock('pc.ram', ['pc.ram', 'a/pc.ram'], ranges)
      return someOf(ranges)
    },
  },
  {
    name: 'host-address', seeds: ['Host virtual address for 0x0 (pc.ram) is 0x7f5000000000\r\n'],
    words: ['Host virtual address for 0x0 ('],
    decode: (input) => parseHostAddress(input.toString()),
  },
  {
    name: 'device-tree', seeds: [DEVICES], room: 2 ** 20,
    words: ['dev: a, id ""\n', 'bus: b\n', '  ', 'addr = 0\n', 'lun = 1\n'],
    decode(input) {
      const devices = parseDeviceTree(input.toString())
      listDevices(devices, 10)
      return someOf(devices)
    },
  },
  {
    name: 'machine', seeds: [JSON.stringify({ qemuVersion: '7.2.0', machine: 'pc', cpus: { count: 1, type: 'a' },
      blocks: [{ name: 'pc.ram', bytes: 1, bytesMax: 2, pageBytes: 4096 }], capabilities: { a: true }, blockers: ['b'],
      devices: { listed: [{ type: 'a', place: 'b' }], count: 1, digest: 'c' }, startsPaused: true })],
    decode(input) {
      const value = parsed(input)
      return isMachineDescription(value) ? value : undefined
    },
  },
  {
    name: 'maps', seeds: [MAPS], room: 2 ** 20,
    decode(input) {
      const mappings = parseMaps(input.toString())
      isMapped(mappings, 0x7f8c77e00000n, 4096)
      findGuarded(mappings)
      return someOf(mappings)
    },
  },
  {
    name: 'map-flags', seeds: [FLAGS], words: ['VmFlags: ', 'rw-p 0 00:00 0\n'], room: 2 ** 20,
    decode: (input) => parseMapFlags(input.toString()),
  },
  {
    name: 'mounts', seeds: [MOUNTS], words: ['\\040', '\\134', '8:1 / '], growth: 512, room: 2 ** 20,
    decode(input) {
      const mounts = parseMounts(input.toString())
      placeOf(mounts, '/run/vms/web.qmp')
      return someOf(mounts)
    },
  },
  {
    name: 'unix-sockets', seeds: [SOCKETS], room: 2 ** 20,
    decode(input) {
      const sockets = parseUnixSockets(input.toString())
      assert.equal(new Set(sockets.map(({ inode }) => inode)).size, sockets.length)
      for (const { path } of sockets.slice(0, 20)) if (path !== undefined) meansSame('/run/vms/a.qmp', path)
      return someOf(sockets)
    },
  },
  {
    name: 'socket-peers', seeds: [PEERS], words: ['u_str ESTAB 0 0 /run/s '], room: 2 ** 20,
    decode: (input) => parsePeers(input.toString(), '/run/s'),
  },
  {
    name: 'file-locks', seeds: [LOCKS], words: ['lock:\t1: OFDLCK ADVISORY  READ -1 a '], room: 2 ** 20,
    decode(input) {
      const locks = parseFileLocks(input.toString())
      keepsFrom(locks, { writes: true, sharesWriting: false })
      return someOf(locks)
    },
  },
  {
    name: 'tcp-table', seeds: [TCP], room: 2 ** 20,
    decode: (input) => inodeAt(input.toString(), '127.0.0.1', 40_001),
  },
  { name: 'thread-stat', seeds: [STAT], bytesMax: 8192, decode: (input) => processorTicks(input.toString()) },
  {
    name: 'qemu-arguments', seeds: ARGUMENTS.map((words) => words.join('\0')), room: 2 ** 20,
    words: ['\0-name\0', '\0-object\0', '\0-m\0', ',,', '=', 'guest=', '{"qom-type":"memory-backend-ram","size":'],
    decode(input) {
      const read = parseQemuArguments(input.toString().split('\0'))
      assert.ok(read.ramSizes.every((bytes) => Number.isSafeInteger(bytes) && bytes > 0))
      return read
    },
  },
]

/** Undefined for an empty list: nothing was understood. */
function someOf<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list
}

function parsed(input: Buffer): unknown {
  try {
    return JSON.parse(input.toString())
  } catch {
    // What is no JSON is refused before.
    return undefined
  }
}
