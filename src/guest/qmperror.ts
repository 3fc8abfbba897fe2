import { RIGHTS_ADVICE } from '../host/rights.ts'
import { PagemeshError, systemErrorCode } from '../runtime/errors.ts'

/** No greeting came, and QEMU serves a client. */
export function qmpBusy(path: string, waitedMs?: number): PagemeshError {
  return new PagemeshError('qmp-busy', `The QMP socket ${path} is held by another client.`, {
    fault: 'guest',
    phase: 'connecting to the guest',
    advice: 'QMP serves one client at a time: close the other one, or give the guest a second -qmp socket.',
    data: { path, waitedMs },
  })
}

/** No greeting came, and QEMU serves nobody: its main loop is stuck, or the process is stopped. */
export function qmpSlow(path: string, waitedMs: number): PagemeshError {
  return new PagemeshError('qmp-busy', `The QEMU at ${path} does not answer, and no other client holds its socket.`, {
    fault: 'guest',
    phase: 'connecting to the guest',
    advice: 'Look whether the guest\'s process is stopped or stuck, for example on storage.',
    data: { path, waitedMs },
  })
}

/** QEMU refused a command; `data` has its class and description. */
export function qmpError(path: string, command: string, errorClass: string, description: string): PagemeshError {
  return new PagemeshError('qmp-error', `QEMU refused ${command}: ${description}.`.replace(/\.\.$/, '.'), {
    fault: 'guest',
    data: { path, command, class: errorClass, desc: description },
  })
}

export function qmpTimeout(path: string, command: string, timeoutMs: number): PagemeshError {
  return new PagemeshError('qmp-timeout', `QEMU did not answer ${command} within ${timeoutMs} ms.`, {
    fault: 'guest',
    advice: 'Look whether the guest\'s process is stuck, for example on storage.',
    data: { path, command, timeoutMs },
  })
}

export function qmpLost(path: string): PagemeshError {
  return new PagemeshError('guest-gone', `The guest at ${path} closed its QMP connection.`, {
    fault: 'guest', data: { path },
  })
}

/** The error for a failed connect. */
export function connectionFault(path: string, error: Error): PagemeshError {
  const code = systemErrorCode(error)
  if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ECONNRESET' || code === 'EPIPE') {
    return new PagemeshError('guest-gone', `No guest listens at ${path}.`, {
      fault: 'guest', data: { path }, cause: error,
    })
  }
  // The queue of waiting clients is full: QEMU's holds one.
  if (code === 'EAGAIN') return qmpBusy(path)
  if (code === 'EACCES' || code === 'EPERM') {
    return new PagemeshError('qmp-forbidden', `The QMP socket ${path} may not be opened by this user.`, {
      fault: 'usage', advice: RIGHTS_ADVICE, data: { path }, cause: error,
    })
  }
  return new PagemeshError('qmp-unreachable', `The QMP socket ${path} cannot be opened: ${error.message}.`, {
    fault: 'host', data: { path }, cause: error,
  })
}

/** The connection was lost between a command and its answer: QEMU may or may not have run it. */
export function qmpInterrupted(path: string, command: string, cause: Error): PagemeshError {
  return new PagemeshError('qmp-interrupted', `The guest's QMP connection was lost while it was told ${command}.`, {
    fault: 'guest', data: { path, command }, cause,
  })
}

/** Whether an error says that another client holds the socket. */
export function isBusy(error: unknown): boolean {
  return error instanceof PagemeshError && error.code === 'qmp-busy'
}
