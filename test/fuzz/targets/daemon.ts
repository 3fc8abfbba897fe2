/** What people and programs of this host write: commands, configuration, addresses, tables. */
import assert from 'node:assert/strict'

import { parsePins } from '../../../src/agent/pinfile.ts'
import { readUnsettled } from '../../../src/agent/unsettled.ts'
import { LineCutter } from '../../../src/bytes/linecutter.ts'
import { parseConfig } from '../../../src/daemon/config.ts'
import {
  CONTROL_LIMITS, decodeAnswer, encodeAnswer, encodeRequest, type ControlRequest,
} from '../../../src/daemon/control/protocol.ts'
import { decodeRequest } from '../../../src/daemon/control/requests.ts'
import { isMapped } from '../../../src/host/exposure.ts'
import { parseCapabilities } from '../../../src/host/rights.ts'
import { explainNft, readTable } from '../../../src/intercept/program.ts'
import { parseLaneAddress } from '../../../src/mesh/lanes/laneaddress.ts'
import { formatHostPort, parseHostPort, parseTcpMultiaddr } from '../../../src/net/hostport.ts'
import { parseRouted } from '../../../src/net/ownaddresses.ts'
import { doOverlap, parsePortRange } from '../../../src/net/portranges.ts'
import { formatRelayAddress, mayDial, parseDialRule, parseRelayAddress } from '../../../src/relay/index.ts'
import { parseJson, printableJson } from '../../../src/text/json.ts'
import { parseBytes, parseRate } from '../../../src/text/units.ts'
import type { Target } from '../target.ts'

const REQUESTS: ControlRequest[] = [
  { command: 'status' }, { command: 'pages', arguments: { countMax: 10 } },
  { command: 'examine', arguments: { to: 'b' } }, { command: 'acceptPeer', arguments: { name: 'b', peerId: '12D3' } },
  { command: 'invite', arguments: { ttlMs: 1000, uses: 1 } }, { command: 'held', arguments: { guest: 'web' } },
  { command: 'settle', arguments: { guest: 'web', decision: 'run' } },
  {
    command: 'migrate',
    arguments: {
      guest: 'web', to: 'b', mode: 'postcopy', maxBandwidth: 1e6, channels: 4, timeoutMs: 1, onTimeout: 'pause',
      dryRun: true,
    },
  },
  { command: 'evacuate', arguments: { to: ['b', 'c'], parallel: 2, mode: 'precopy' } },
  { command: 'tunnel', arguments: { to: 'b', path: '/run/a', remotePath: '/run/b', mode: 0o600, gid: 5 } },
  { command: 'cancel', arguments: {} }, { command: 'keys', arguments: { action: 'list' } },
  { command: 'keys', arguments: { action: 'install', key: `${'A'.repeat(42)}A`, here: true, without: ['b'] } },
  { command: 'keys', arguments: { action: 'use', id: '0123456789abcdef' } },
]
const CONFIG = `name: host-a
clusterKey: /etc/pagemesh/cluster.key
listen: [/ip4/10.0.0.1/tcp/4001, /dns4/host-a.example/tcp/4001]
guests: [/run/vms/*.qmp]
managed: libvirt
store: { path: /var/lib/pagemesh, maxBytes: 2GiB }
swap:
  maxBandwidth: 100Mbit
handoff: { threads: auto, compression: never, references: true }
intercept: { ports: [49152-49215, 8102] }
accept: [{guest: "web-*", from: [host-b]}]
tenants: [{guests: "db-*", tenant: blue}]
relay: { dial: ["/run/vms/*.sock", "10.0.0.2:8102"] }
`
const ROUTES = 'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n' +
  `eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\n${'0'.repeat(32)} 00 ${'0'.repeat(32)} 00 fe80 1 1 1 1 eth1\n`
const TABLE = `table inet pagemesh { # handle 1
	set four {
		type ipv4_addr
		elements = { 10.0.0.2, 10.0.0.3 }
	}
	set six {
		elements = { fd00::2 }
	}
}
`
const UNSETTLED = {
  role: 'outgoing', as: 'held', guest: 'web', other: 'b', mode: 'postcopy', runState: 'running',
  process: { pid: 1, startTicks: 2 }, undo: { capabilities: {}, parameters: {}, autostart: false },
}
const RULES = ['/run/vms/*.sock', '127.64.0.0/16:20000-30999'].map((text) => parseDialRule(text)!)
const OWN = { hosts: new Set(['10.0.0.2', 'fd00::2']), ports: new Set([4001]), paths: ['/run/pagemesh/control.sock'] }
const LINE_BYTES_MAX = 3000

export const DAEMON_TARGETS: readonly Target[] = [
  {
    name: 'request', seeds: REQUESTS.map((request) => encodeRequest(request).trimEnd()), refusals: ['bad-request'],
    words: ['"command"', '"arguments"', '"migrate"', '"tunnel"', '"guest"', '"to"'],
    bytesMax: CONTROL_LIMITS.requestBytesMax,
    decode(input) {
      const request = decodeRequest(input.toString())
      // As text: JSON does not keep -0.
      assert.equal(encodeRequest(decodeRequest(encodeRequest(request).trimEnd())), encodeRequest(request))
      return request
    },
  },
  {
    name: 'control-answer', refusals: ['bad-answer'], words: ['"result"', '"progress"', '"error"', '"fault"'],
    seeds: [
      encodeAnswer({ result: { a: 1 } }), encodeAnswer({ progress: { event: 'listening' } }),
      encodeAnswer({ error: { code: 'busy', message: 'No.', fault: 'usage' } }),
    ].map((line) => line.trimEnd()),
    decode: (input) => decodeAnswer(input.toString()),
  },
  {
    // Read twice; an empty line is an object of its own, for one byte.
    name: 'lines', growth: 512, seeds: [`{"command":"status"}\n${'a'.repeat(200)}\n\nb`],
    decode(input) {
      const read = (pieceBytes: number): string[] | 'too-long' => {
        const cutter = new LineCutter(LINE_BYTES_MAX)
        const lines: string[] = []
        for (let at = 0; at < input.length; at += pieceBytes) {
          const more = cutter.push(input.subarray(at, at + pieceBytes))
          if (more === 'too-long') return more
          lines.push(...more)
        }
        return lines
      }
      const lines = read(8 + input.length % 50)
      const whole = read(Math.max(1, input.length))
      assert.equal(whole.length, lines.length, 'the same in any pieces')
      for (const [index, line] of whole === 'too-long' ? [] : whole.entries()) assert.ok(line === lines[index])
      return lines
    },
  },
  {
    // The YAML package takes the square of the depth, up to where it refuses it: an operator's own file.
    name: 'configuration', msMax: 1000, refusals: ['bad-config'],
    seeds: [CONFIG, 'name: a\nclusterKey: /k\n', '{"name": "a", "clusterKey": "/k"}'],
    words: ['&a ', '*a', '<<: *a', '- ', '? ', ': ', '!!binary ', '%YAML 1.1\n', '---\n', '|\n ', 'store:\n  ', '\n  '],
    bytesMax: 16 * 1024, room: 24 * 2 ** 20, growth: 4096, share: 0.1,
    decode: (input) => parseConfig(input.toString(), 'agent.yaml'),
  },
  {
    name: 'json', seeds: ['{"a": [1, "b", null]}', '[]', '"\\u001b"'],
    decode(input) {
      const value = parseJson(input.toString())
      // What nests deeper than a stack is read, and written by nobody.
      if (value !== undefined && input.length < 1000) {
        assert.equal(JSON.stringify(parseJson(printableJson(value))), JSON.stringify(value))
      }
      return value
    },
  },
  {
    name: 'units', seeds: ['2GiB', '512 MB', '100Mbit', '50MB/s', '1.5GB', '10ps'], bytesMax: 4096,
    decode(input) {
      const [bytes, rate] = [parseBytes(input.toString()), parseRate(input.toString())]
      assert.ok([bytes, rate].every((value) => value === undefined || Number.isSafeInteger(value)))
      return bytes ?? rate
    },
  },
  {
    name: 'addresses', bytesMax: 4096, refusals: ['address-malformed'],
    seeds: [
      '10.0.0.1:4001', '[fd00::1]:4002', 'host-b.example:1', '/ip4/10.0.0.2/tcp/4001', '/dns6/b/tcp/1/p2p/12D3',
      '49152-49215', '8102', '/run/vms/web.sock', '127.64.0.2:20500', '[::ffff:10.0.0.2]:49152', 'nothing',
    ],
    words: ['..', '//', '*', '%eth0', ':49152', '0x7f.1', '127.1', 'localhost', '::', '/tcp/', '-65535'],
    decode(input) {
      const text = input.toString()
      const parsed = parseHostPort(text)
      if (parsed !== undefined) assert.deepEqual(parseHostPort(formatHostPort(parsed)), parsed)
      const range = parsePortRange(text)
      if (range !== undefined) assert.ok(!doOverlap([range]))
      const relay = parseRelayAddress(text)
      if (relay !== undefined) assert.deepEqual(parseRelayAddress(formatRelayAddress(relay)), relay)
      const dialled = relay !== undefined && mayDial(relay, { rules: RULES, own: OWN })
      const rule = parseDialRule(text)
      const multiaddr = parseTcpMultiaddr(text)
      const toDial = relay === undefined ? rule : { ...relay, dialled }
      return parsed ?? multiaddr ?? range ?? toDial ?? parseLaneAddress(text)
    },
  },
  {
    name: 'routes', seeds: [ROUTES], words: ['\t', '\n', '00000000', 'eth0'], growth: 768, room: 2 ** 20,
    decode(input) {
      const routed = parseRouted(input.toString(), input.toString())
      return routed.size === 0 ? undefined : routed
    },
  },
  {
    name: 'nft-table', seeds: [TABLE, TABLE + TABLE], words: ['table inet pagemesh {', 'elements = { ', '}\n'],
    decode(input) {
      explainNft(input.toString())
      return readTable(input.toString())
    },
  },
  {
    name: 'process-status',
    seeds: ['Name:\ta\nUid:\t0\t0\t0\t0\nCapPrm:\t000001ffffffffff\n', '         0          0 4294967295\n'],
    bytesMax: 16 * 1024, growth: 512,
    decode: (input) => ({
      capabilities: parseCapabilities(input.toString(), 'CapPrm').length, isMapped: isMapped(input.toString(), 65_534),
    }),
  },
  {
    name: 'pins', words: ['"pins"'],
    seeds: [JSON.stringify({ version: 1, pins: [{ name: 'host-a', peerId: '12D3', since: 1 }] })],
    decode: (input) => parsePins(input.toString()),
  },
  {
    name: 'unsettled',
    seeds: [JSON.stringify(UNSETTLED), JSON.stringify({ ...UNSETTLED, role: 'incoming', as: 'loaded' })],
    words: ['"role"', '"as"', '"knowledge"', '"undo"'],
    decode: (input) => readUnsettled(parseJson(input.toString())),
  },
]
