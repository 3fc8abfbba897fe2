import { PagemeshError } from '../runtime/errors.ts'

const PHASE = 'preparing the destination'

/** The guest could not use an image here; `fault` is a sentence. */
export function diskUnusable(guest: string, fault: string): PagemeshError {
  return new PagemeshError('disk-unusable', fault, {
    fault: 'host', phase: PHASE, data: { guest },
    advice: 'The guest could not run here: free the disk, or give its QEMU the right to write it.',
  })
}

export function expectsTls(guest: string, credentials: string): PagemeshError {
  const remedy = { execute: 'migrate-set-parameters', arguments: { 'tls-creds': '' } }
  const message = `Guest ${guest} expects TLS from the other QEMU (tls-creds is ${credentials}).`
  return new PagemeshError('no-waiting-guest', message, {
    fault: 'guest', phase: PHASE, data: { guest, credentials },
    advice: `Hosts encrypt among themselves; turn QEMU's TLS off over QMP: ${JSON.stringify(remedy)}`,
  })
}

export function postcopyRefused(guest: string, where: string, cause: PagemeshError): PagemeshError {
  const words = String(cause.data['desc']).replace(/\.$/, '')
  const message = `The QEMU of ${guest} ${where} refuses post-copy: ${words}.`
  return new PagemeshError('postcopy-impossible', message, {
    fault: 'host', phase: PHASE, data: { guest, words }, cause,
    advice: 'It needs userfaultfd: set vm.unprivileged_userfaultfd=1 there, or give QEMU CAP_SYS_PTRACE. ' +
      'Or use pre-copy.',
  })
}

export function postcopyUnserved(
  guest: string, where: string, { block, backing }: { block: string; backing: string },
): PagemeshError {
  const message = `Memory ${block} of ${guest} ${where} lies in a file on ${backing}, which post-copy cannot fill.`
  return new PagemeshError('postcopy-impossible', message, {
    fault: 'host', phase: PHASE, data: { guest, block, backing },
    advice: 'Put the memory\'s file on tmpfs or hugetlbfs, use memory-backend-memfd, or use pre-copy.',
  })
}

export function stillRuns(guest: string): PagemeshError {
  return new PagemeshError('guest-runs', `Guest ${guest} runs here: it is not ended.`, {
    fault: 'guest', phase: 'ending a copy', data: { guest },
  })
}

/** QEMU does not answer, and the agent must not or cannot kill it; `why` is a clause. */
export function silent(guest: string, pid: number, why: string, cause?: unknown): PagemeshError {
  const message = `The waiting QEMU of ${guest}, process ${pid}, does not answer, and ${why}.`
  return new PagemeshError('guest-silent', message, {
    fault: 'guest', phase: 'ending a copy', data: { guest, pid }, ...cause === undefined ? {} : { cause },
    advice: `The guest stays at its source. End this process, as root: kill -KILL ${pid}`,
  })
}
