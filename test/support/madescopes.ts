import { PageScopes, SHARED_TENANT, type KeyEpoch, type PageScope } from '../../src/page/index.ts'

/** An epoch whose keys are made of its number and the tenant's name; `shared` has `pageKey` if it is given. */
export function madeEpoch(number = 1, pageKey: Uint8Array = new Uint8Array(32).fill(number)): KeyEpoch {
  const keyFor = (tenant: string, fill: number): Uint8Array => {
    const key = new Uint8Array(32).fill(fill)
    key.set(Buffer.from(tenant).subarray(0, 31), 1)
    return key
  }
  return {
    id: number.toString(16).padStart(16, '0'),
    pageKeyOf: (tenant) => (tenant === SHARED_TENANT ? pageKey : keyFor(tenant, number)),
    storeKeyOf: (tenant) => keyFor(tenant, 100 + number),
  }
}

/** The page keys of a host with one tenant, whose key is `pageKey`. */
export function madeScopes(pageKey: Uint8Array = new Uint8Array(32).fill(1)): PageScopes {
  return new PageScopes({ epoch: madeEpoch(1, pageKey), tenants: [SHARED_TENANT], tenantOf: () => SHARED_TENANT })
}

/** The page keys of a host whose guests are of these tenants: what stands before a name's first `-`. */
export function scopesOf(...tenants: string[]): PageScopes {
  return new PageScopes({ epoch: madeEpoch(), tenants, tenantOf: (guest) => guest.split('-')[0]! })
}

export function madeScope(pageKey?: Uint8Array): PageScope {
  return madeScopes(pageKey).oldest
}
