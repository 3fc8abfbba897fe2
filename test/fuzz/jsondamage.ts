/** How deep nested values go: a message has room for more levels than a stack. */
const DEPTHS = [3, 200, 30_000]
const LENGTHS = [0, 1, 64, 256, 1025, 5000]

/** The JSON object with another value in one of its places; undefined if the bytes are no object. */
export function damageJson(bytes: Buffer, random: () => number): Buffer | undefined {
  try {
    const object = JSON.parse(bytes.toString()) as Record<string, unknown>
    return damaged(object, random)
  } catch {
    // Damaged before, or nested too deep to be written again: bytes are changed instead.
    return undefined
  }
}

function damaged(object: Record<string, unknown>, random: () => number): Buffer | undefined {
  const below = (limit: number): number => Math.floor(random() * limit)
  let place: Record<string, unknown> = object
  let [keys, key] = [Object.keys(place), '']
  for (let depth = 0; depth < 8; depth++) {
    if (keys.length === 0) return undefined
    key = keys[below(keys.length)]!
    const inner = place[key]
    if (typeof inner !== 'object' || inner === null || random() < 0.3) break
    const innerKeys = Object.keys(inner)
    if (innerKeys.length === 0) break
    place = inner as Record<string, unknown>
    keys = innerKeys
  }
  const kind = below(10)
  if (kind === 0) Reflect.deleteProperty(place, key)
  else if (kind === 1) place[`${key}x`] = place[key]
  else if (Array.isArray(place) && kind === 2) {
    for (let more = LENGTHS[below(LENGTHS.length)]!; more > 0; more--) place.push(place[0])
  } else place[key] = '\0mark'
  const text = JSON.stringify(object)
  // Written as text: what nests too deep, or is no number of JSON.parse's, cannot be written otherwise.
  return Buffer.from(text.replace('"\\u0000mark"', () => oddValue(below)))
}

function oddValue(below: (limit: number) => number): string {
  const depth = DEPTHS[below(DEPTHS.length)]!
  const length = LENGTHS[below(LENGTHS.length)]!
  const objects = Math.min(depth, 9000)
  const values = [
    'null', 'true', 'false', '-1', '0', '0.5', '1e308', '1e999', '-0', '4294967296', '9007199254740992', '""',
    '"\\u0000"', '"\\ud800"', '"__proto__"', '{}', '[]', '{"__proto__":{"a":1}}', '{"toString":1}', '[null]', '[[]]',
    `"${'a'.repeat(length)}"`, `"${'\u20ac'.repeat(length)}"`, `[${'0,'.repeat(length)}0]`,
    `${'['.repeat(depth)}${']'.repeat(depth)}`, `${'{"a":'.repeat(objects)}0${'}'.repeat(objects)}`,
  ]
  return values[below(values.length)]!
}
