/** Everything that reads bytes from outside, as the fuzzers see it. */
import type { Target } from './target.ts'
import { DAEMON_TARGETS } from './targets/daemon.ts'
import { FILE_TARGETS } from './targets/files.ts'
import { GUEST_TARGETS } from './targets/guest.ts'
import { MESH_TARGETS } from './targets/mesh.ts'
import { PAGE_TARGETS } from './targets/pages.ts'
import { POPULARITY_TARGETS } from './targets/popularity.ts'
import { QEMU_TARGETS } from './targets/qemu.ts'
import { TRANSFER_TARGETS } from './targets/transfer.ts'

export const TARGETS: readonly Target[] = [
  ...MESH_TARGETS, ...TRANSFER_TARGETS, ...PAGE_TARGETS, ...POPULARITY_TARGETS, ...QEMU_TARGETS, ...GUEST_TARGETS,
  ...DAEMON_TARGETS, ...FILE_TARGETS,
]
