import type { ExplainedSurvivor } from './fault.ts'

const ABORTS_ONCE = 'a signal aborts once'
const TO_THE_MILLISECOND = 'a time limit that no test can tell from one a millisecond longer'
const ONE_MORE_OR_LESS = 'the amount of room: one place more or less works as well, and filling it takes seconds'
const LETS_GO = 'it frees memory: after a stop nothing uses it, and the next start makes it anew'
const LETS_GO_OF_CLOSED = 'it frees memory: closing it again does nothing'
const HUNG_UP = 'no test can make a peer hang up before its accepted socket is looked at'
const DISK = 'only a power loss shows whether the bytes had reached the disk'
const OF_LIBP2P = 'a setting of libp2p that shows only in meshes of many hosts, which test/sim and the lab run'

/** Faults that may survive in the mesh. */
export const MESH_SURVIVORS: readonly ExplainedSurvivor[] = [
  // admission.ts, arrivals.ts, gate.ts
  {
    file: 'src/mesh/admission/arrivals.ts', line: 'this.#watch(0)', after: ['this.#watch(1)'],
    why: 'a new connection is not overdue within a millisecond',
  },
  // invitation
  {
    file: 'src/mesh/invitation/exchange.ts', line: 'return typeof value === \'object\' && value !== null ?',
    after: ['||', 'return true ?'], why: 'a number and a text have no fields, either',
  },
  // lanes
  { file: 'src/mesh/lanes/laneserver.ts', line: 'const LANES_MAX = 512', why: ONE_MORE_OR_LESS },
  { file: 'src/mesh/lanes/laneserver.ts', line: 'const UNPROVEN_SOCKETS_MAX = {', why: ONE_MORE_OR_LESS },
  {
    file: 'src/mesh/lanes/laneserver.ts', line: 'const BACKLOG_MAX = 4_096',
    why: 'the kernel has its own limit, which is mostly lower',
  },
  {
    file: 'src/mesh/lanes/laneserver.ts', line: 'this.#server.off(\'error\', fail)',
    why: 'once it listens, a failure rejects a resolved promise',
  },
  {
    file: 'src/mesh/lanes/laneserver.ts', line: 'this.#server.on(\'error\', (error) => this.#log.error(',
    why: 'no test can make a listening port fail; the error would only be logged',
  },
  { file: 'src/mesh/lanes/laneserver.ts', line: 'this.#log = components.log', why: 'nothing but that error is logged' },
  {
    file: 'src/mesh/lanes/laneserver.ts', line: 'this.#connected.delete(connected)',
    why: 'it lets go of memory: to close what is closed already does nothing',
  },
  {
    file: 'src/mesh/lanes/laneinlet.ts', line: 'this.#socket.pause()',
    why: 'reading stops with the next piece as well, and a few may come after a pause',
  },
  {
    file: 'src/mesh/lanes/laneserver.ts', line: 'if (host === undefined) return', after: ['if (false)'], why: HUNG_UP,
  },
  { file: 'src/mesh/lanes/laneinlet.ts', line: 'const READ_BUFFER_BYTES = 256 * 1024', why: 'pieces of any size work' },
  { file: 'src/mesh/lanes/lanedial.ts', line: 'abort, { once: true })', after: ['once: false'], why: ABORTS_ONCE },
  { file: 'src/mesh/lanes/securelane.ts', line: 'abort, { once: true })', after: ['once: false'], why: ABORTS_ONCE },
  { file: 'src/mesh/lanes/lanetickets.ts', line: 'abort, { once: true })', after: ['once: false'], why: ABORTS_ONCE },
  { file: 'src/mesh/lanes/duplexlane.ts', line: 'abort, { once: true })', after: ['once: false'], why: ABORTS_ONCE },
  {
    file: 'src/mesh/lanes/duplexlane.ts', line: 'this.#roomWaiters.push(waiter)', after: ['unshift'],
    why: 'all waiters for room are woken at the same time',
  },
  // streams
  {
    file: 'src/mesh/streams/framedstream.ts', line: 'abort, { once: true })', after: ['once: false'], why: ABORTS_ONCE,
  },
  {
    file: 'src/mesh/streams/framedstream.ts', line: 'if (!(error instanceof FrameTooLongError)) throw error',
    after: ['if (false)'], why: 'nothing else is thrown there; it only narrows the type',
  },
  { file: 'src/mesh/streams/inbox.ts', line: 'abort, { once: true })', after: ['once: false'], why: ABORTS_ONCE },
  { file: 'src/mesh/memory/memorystream.ts', line: 'abort, { once: true })', after: ['once: false'], why: ABORTS_ONCE },
  // meshes in one process
  {
    file: 'src/mesh/memory/memorynetwork.ts', line: 'void lane.closed.then(() => this.lanes.delete(lane))',
    why: LETS_GO_OF_CLOSED,
  },
  {
    file: 'src/mesh/memory/memorymesh.ts', line: 'void lane.closed.then(() => this.#lanes.delete(lane))',
    why: LETS_GO_OF_CLOSED,
  },
  { file: 'src/mesh/memory/memorymesh.ts', line: 'this.#streams.delete(end)', why: LETS_GO_OF_CLOSED },
  { file: 'src/mesh/memory/memorymesh.ts', line: 'other.#streams.delete(end)', why: LETS_GO_OF_CLOSED },
  {
    file: 'src/mesh/memory/memorymesh.ts', line: 'await stream.close()', after: ['void stream.close()'],
    why: 'it is closed at once, whether or not that is awaited',
  },
  // files
  { file: 'src/mesh/clusterkey.ts', line: 'await file.sync()', why: DISK },
  { file: 'src/mesh/libp2p/identity.ts', line: 'await file.sync()', why: DISK },
  // redialer.ts
  {
    file: 'src/mesh/members/redialer.ts', line: 'BACKOFF_MS_MIN * 2 ** Math.min(failureCount - 1, 16))',
    after: ['Math.min(failureCount - 1, 17)'], why: 'after five failures the longest wait is the smaller of the two',
  },
  { file: 'src/mesh/members/redialer.ts', line: 'const FORGET_MS = 600_000', why: TO_THE_MILLISECOND },
  { file: 'src/mesh/members/redialer.ts', line: 'const FORGET_UNPROVEN_MS = 60_000', why: TO_THE_MILLISECOND },
  {
    file: 'src/mesh/members/redialer.ts',
    line: 'if (target.isLearnt && this.#clock.now() - reachedAt > forgetMs) return',
    after: ['>= forgetMs'], why: TO_THE_MILLISECOND,
  },
  {
    file: 'src/mesh/members/redialer.ts', line: 'for (const target of this.#targets) if (target.peerId === peerId)',
    after: ['if (true)'], why: 'a woken loop checks whether its peer is there, and waits on',
  },
  {
    file: 'src/mesh/members/redialer.ts', line: 'if (target.isLearnt && target.peerId! < this.#selfPeerId()) {',
    after: ['<='], why: 'a host does not hear its own announcement',
  },
  {
    file: 'src/mesh/members/redialer.ts', line: 'this.#targets.delete(target)',
    why: 'waking an ended loop has no effect',
  },
  { file: 'src/mesh/members/redialer.ts', line: 'this.#loops.delete(loop)', why: 'an ended loop is not waited for' },
  {
    file: 'src/mesh/members/redialer.ts',
    line: 'if (target.isLearnt && target.peerId !== undefined) this.#learnt.delete(',
    after: ['if (true)', 'target.isLearnt ||'],
    why: 'before the stop only loops of learnt peers, and of this host itself, end',
  },
  // hostmesh.ts
  { file: 'src/mesh/hostmesh.ts', line: 'this.#introductions = undefined', why: LETS_GO },
  { file: 'src/mesh/hostmesh.ts', line: 'this.#redialer = undefined', why: LETS_GO },
  {
    file: 'src/mesh/hostmesh.ts', line: 'await this.#lanes?.close()', after: ['void'],
    why: 'the port is closed at once; the wait is for sockets that are destroyed already',
  },
  {
    file: 'src/mesh/hostmesh.ts', line: 'void lane.closed.then(() => this.#dialedLanes.delete(lane))',
    why: LETS_GO_OF_CLOSED,
  },
  // libp2p.ts
  {
    file: 'src/mesh/libp2p/libp2p.ts', line: 'if (address.endsWith(`/p2p/${this.peerId}`)) throw',
    after: ['if (false)'],
    why: 'the proof detects as well that this host dialed itself, only later',
  },
  {
    file: 'src/mesh/libp2p/libp2p.ts', line: 'if (msg.type !== \'signed\') return', after: ['if (false)'],
    why: 'gossipsub passes only signed messages',
  },
  {
    file: 'src/mesh/libp2p/libp2p.ts', line: 'this.#started().services.gossip.unsubscribe(topic)',
    why: 'nothing here subscribes to it any more; that others send less does not show between two hosts',
  },
  {
    file: 'src/mesh/libp2p/libp2p.ts', line: 'nodeInfo: { name: \'pagemesh\', version: this.#init.version ??',
    why: 'sent to peers for their operators; nothing here reads it',
  },
  { file: 'src/mesh/libp2p/libp2p.ts', line: 'maxConnections: CONNECTIONS_MAX, reconnectRetries: 0,', why: OF_LIBP2P },
  { file: 'src/mesh/libp2p/libp2p.ts', line: 'connectionMonitor: { enabled: false },', why: OF_LIBP2P },
  {
    file: 'src/mesh/libp2p/libp2p.ts', line: 'void connection.close({ signal: AbortSignal.timeout(FAREWELL_MS) })',
    why: 'the node cuts its connections off by itself, only a second later',
  },
  { file: 'src/mesh/libp2p/libp2p.ts', line: 'this.#node = undefined', why: LETS_GO },
  {
    file: 'src/mesh/libp2p/libp2p.ts', line: 'unproven?.leave()',
    why: 'the gate releases a proved connection as well, at the end of the upgrade, which follows at once',
  },
  { file: 'src/mesh/libp2p/libp2p.ts', line: 'const PROOF_TIMEOUT_MS = 10_000', why: TO_THE_MILLISECOND },
  { file: 'src/mesh/libp2p/libp2p.ts', line: 'const FAREWELL_MS = 1_000', why: TO_THE_MILLISECOND },
  {
    file: 'src/mesh/libp2p/libp2p.ts', line: 'const PROOF_BUFFER_BYTES_MAX = 1024 * 1024', after: ['1025'],
    why: OF_LIBP2P,
  },
  {
    file: 'src/mesh/libp2p/libp2p.ts', line: 'const STREAM_WINDOW_BYTES = 1024 * 1024', after: ['1025'], why: OF_LIBP2P,
  },
  { file: 'src/mesh/libp2p/libp2p.ts', line: 'const CONNECTIONS_MAX = 1_024', why: OF_LIBP2P },
  { file: 'src/mesh/libp2p/libp2p.ts', line: 'const BACKLOG_MAX = 4_096', why: OF_LIBP2P },
  { file: 'src/mesh/libp2p/libp2p.ts', line: 'const STREAMS_MAX = 64', why: OF_LIBP2P },
  { file: 'src/mesh/libp2p/libp2p.ts', line: 'const STREAM_BUFFER_BYTES_MAX = 4', after: ['= 5'], why: OF_LIBP2P },
  { file: 'src/mesh/libp2p/libp2p.ts', line: 'const GOSSIP_QUEUE_BYTES_MAX = 8 * 1024 * 1024', why: OF_LIBP2P },
  { file: 'src/mesh/libp2p/libp2p.ts', line: 'D: 4, Dlo: 3, Dhi: 8, Dout: 1, Dscore: 2,', why: OF_LIBP2P },
  { file: 'src/mesh/libp2p/libp2p.ts', line: 'floodPublish: false,', why: OF_LIBP2P },
  { file: 'src/mesh/libp2p/libp2p.ts', line: 'scoreParams: { IPColocationFactorWeight: 0 },', why: OF_LIBP2P },
]
