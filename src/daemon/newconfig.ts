/** The text of a new host's configuration, also where one is that says nothing yet. Pure. */

/** What a new host's configuration must say. */
interface Said {
  name: string
  clusterKey: string
  listen: string
  bootstrap: string
}

/** Where no configuration was. */
const EMPTY = '# QMP sockets of this host\'s guests:\n# guests: [/run/vms/*.qmp]\n'

/** Whether a configuration holds nothing but comments, as the one that the Debian package brings. */
export function saysNothing(text: string): boolean {
  return text.split('\n').every((line) => /^\s*(?:#.*)?\r?$/.test(line))
}

/**
 * A configuration of this host that keeps the comments of `before`, which says nothing: each key stands where its
 * comment showed it (`#name: ...`), or else first. A JSON text is YAML as well.
 */
export function filledIn(before: string, { name, clusterKey, listen, bootstrap }: Said): string {
  const lines = (before === '' ? EMPTY : before).split('\n')
  const missing: string[] = []
  for (const [key, value] of Object.entries({ name, clusterKey, listen: [listen], bootstrap: [bootstrap] })) {
    const line = `${key}: ${JSON.stringify(value)}`
    const at = lines.findIndex((comment) => comment.startsWith(`#${key}:`))
    if (at === -1) missing.push(line)
    else lines[at] = line
  }
  return [...missing, ...lines].join('\n')
}
