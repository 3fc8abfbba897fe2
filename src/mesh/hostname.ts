import { PagemeshError } from '../runtime/errors.ts'

/**
 * Whether `name` is a host name: 1 to 63 letters, digits, dots, dashes and underscores, the first a letter or digit.
 */
export function isHostName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)
}

/** Throws PagemeshError `host-name-invalid` unless `name` is a valid host name. */
export function checkHostName(name: string): void {
  if (isHostName(name)) return
  throw new PagemeshError('host-name-invalid', `${JSON.stringify(name)} cannot be the name of a host.`, {
    fault: 'usage', data: { name },
    advice: 'Use 1 to 63 letters, digits, dots, dashes and underscores, beginning with a letter or digit.',
  })
}
