import type { Invitations, Mesh, NamePins } from '../mesh/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { createAudit, type Audit } from './audit.ts'

/** A host's audit log, fed with the refusals of the mesh and the pins, and with invitations. */
export function auditOf(
  components: { clock: Clock; log: Log },
  { path, mesh, pins, invitations }: { path: string; mesh: Mesh; pins: NamePins; invitations: Invitations },
): Audit {
  let strangersBefore = 0
  const audit = createAudit(components, {
    path,
    everyMinute: () => {
      const count = mesh.strangerCount - strangersBefore
      strangersBefore = mesh.strangerCount
      return count > 0 ? [{ event: 'strangers', count }] : []
    },
  })
  pins.onClaim = ({ name, peerId }) => audit.note({ event: 'name-refused', name, peerId })
  invitations.onNews = (news) => audit.note(news)
  return audit
}
