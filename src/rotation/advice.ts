/** What an operator must do about the keys of a host: it cannot be told by others while they are strangers. Pure. */
export function adviceOn(
  { lacks, strangers, isAlone }: { lacks: readonly string[]; strangers: readonly string[]; isAlone: boolean },
): string | null {
  const sentences = [
    ...(strangers.length === 0 ? [] : [isAlone ? shutOut(strangers) : leftBehind(strangers)]),
    ...(lacks.length === 0 ? [] : [lagging(lacks)]),
  ]
  return sentences.length === 0 ? null : sentences.join(' ')
}

function shutOut(strangers: readonly string[]): string {
  const hold = strangers.length === 1 ? 'holds' : 'hold'
  return `No host accepts this host's cluster key: ${strangers.join(', ')} ${hold} another one. It may have been ` +
    'rotated while this host was down. Copy the key file from a host of the cluster, or run `pagemesh invite` there ' +
    'and `pagemesh join` here, and start this agent anew.'
}

function leftBehind(strangers: readonly string[]): string {
  const [hold, them] = strangers.length === 1 ? ['holds', 'it'] : ['hold', 'them']
  return `${strangers.join(', ')} ${hold} another cluster key and cannot be let in: a rotation may have left ${them} ` +
    'behind. If so, copy this host\'s key file there, and start the agent there anew.'
}

function lagging(lacks: readonly string[]): string {
  return `Members have the cluster key ${lacks.join(' and ')}, and this host does not. Before the old one is ` +
    'removed, run `pagemesh keys install FILE` again on one of them.'
}
