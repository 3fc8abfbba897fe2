import { PagemeshError } from '../runtime/errors.ts'

export function hostUnknown(name: string, memberNames: string[]): PagemeshError {
  return new PagemeshError('host-unknown', `No host named ${name} is in the mesh now.`, {
    fault: 'usage', data: { host: name, members: memberNames },
    advice: memberNames.length === 0
      ? 'No other host is connected: check `bootstrap`, and that all hosts have the same cluster key.'
      : `Connected are: ${memberNames.join(', ')}.`,
  })
}

export function hostUnreachable(name: string, protocol: string, cause: unknown): PagemeshError {
  return new PagemeshError('host-unreachable', `The host ${name} does not answer.`, {
    fault: 'network', data: { host: name, protocol }, cause,
    advice: 'Check that its agent runs the same version, and check the network between the hosts; then try again.',
  })
}

export function nameTaken(name: string, holderPeerId: string): PagemeshError {
  return new PagemeshError('name-taken', `Another host of the mesh is named ${name}: the peer ${holderPeerId}.`, {
    fault: 'usage', phase: 'start', data: { name, holderPeerId },
    advice: 'Choose another name for this host. If it had that name under a former identity, ' +
      `run \`pagemesh peers accept ${name}\` on the others, and start it again.`,
  })
}

export function gossipTooLong(lengthBytes: number, bytesMax: number): PagemeshError {
  const message = `A gossip message of ${lengthBytes} bytes exceeds the limit of ${bytesMax}.`
  return new PagemeshError('message-too-long', message, {
    fault: 'host', data: { lengthBytes, bytesMax },
  })
}

export function meshStopped(): PagemeshError {
  return new PagemeshError('mesh-stopped', 'This host is not in the mesh.', { fault: 'cancelled' })
}
