import { matchesGlob } from 'node:path'

import { keyEpoch } from '../mesh/index.ts'
import { PageScopes, PUBLIC_TENANT, SHARED_TENANT, TENANTS_MAX } from '../page/index.ts'
import { PagemeshError } from '../runtime/errors.ts'

/** Guests whose names match this glob are of this tenant. */
export interface TenantRule {
  guests: string
  tenant: string
}

/** One tenant for all guests; or rules, of which the first that matches counts, and `shared` for guests without one. */
export type Tenants = { default: string } | TenantRule[]

const RULES_MAX = 64
const TENANT_LENGTH_MAX = 32

/** What `tenants` may be: to follow "expected". */
export const TENANTS_EXPECTED = `{default: NAME}, or a list of at most ${RULES_MAX} rules such as ` +
  `{guests: "db-*", tenant: blue}; a tenant's name is up to ${TENANT_LENGTH_MAX} of a-z, 0-9, ".", "_" and "-", ` +
  `there are at most ${TENANTS_MAX} with ${SHARED_TENANT}, and not all guests may be of ${PUBLIC_TENANT}`

/** The tenants that are written; undefined if they cannot be read. Pure. */
export function readTenants(written: unknown): Tenants | undefined {
  if (Array.isArray(written)) {
    if (written.length > RULES_MAX || !written.every(isTenantRule) || written.some(namesAll)) return undefined
    return tenantsOf(written).length <= TENANTS_MAX ? written : undefined
  }
  if (typeof written !== 'object' || written === null) return undefined
  const { default: tenant, ...others } = written as Record<string, unknown>
  const isFit = isTenant(tenant) && tenant !== PUBLIC_TENANT && Object.keys(others).length === 0
  return isFit ? { default: tenant } : undefined
}

/** The page keys of a host, by the tenants of its guests. Throws PagemeshError `bad-option`. */
export function createScopes(clusterKey: Uint8Array, written: Tenants): PageScopes {
  const tenants = readTenants(written)
  if (tenants === undefined) {
    throw new PagemeshError('bad-option', `\`tenants\` is ${JSON.stringify(written)}; expected ${TENANTS_EXPECTED}.`, {
      fault: 'usage',
    })
  }
  return new PageScopes({
    epoch: keyEpoch(clusterKey), tenants: tenantsOf(tenants), tenantOf: (guest) => tenantOf(tenants, guest),
  })
}

/** The tenant of a guest by its name. Pure. */
export function tenantOf(tenants: Tenants, guest: string): string {
  if (!Array.isArray(tenants)) return tenants.default
  return tenants.find(({ guests }) => matchesGlob(guest, guests))?.tenant ?? SHARED_TENANT
}

/** Every tenant that a guest may have. */
function tenantsOf(tenants: Tenants): string[] {
  if (!Array.isArray(tenants)) return [tenants.default]
  return [...new Set([...tenants.map(({ tenant }) => tenant), SHARED_TENANT])]
}

function isTenantRule(written: unknown): written is TenantRule {
  if (typeof written !== 'object' || written === null) return false
  const { guests, tenant, ...others } = written as Record<string, unknown>
  // An unknown key may be meant as a condition: refuse it.
  return typeof guests === 'string' && guests.trim() !== '' && !guests.includes('\0') && isTenant(tenant) &&
    Object.keys(others).length === 0
}

/** Whether a rule makes every guest public, which nobody means. */
function namesAll({ guests, tenant }: TenantRule): boolean {
  return tenant === PUBLIC_TENANT && /^[*]+$/.test(guests.trim())
}

function isTenant(written: unknown): written is string {
  return typeof written === 'string' && written.length <= TENANT_LENGTH_MAX && /^[a-z0-9][a-z0-9._-]*$/.test(written)
}
