import { DiskStore, type StoreComponents, type StoreInit } from './diskstore.ts'
import { EmptyStore } from './emptystore.ts'
import { slotsIn } from './format.ts'
import type { Store } from './store.ts'

/** A store within `bytesMax` of disk space. Opens nothing before `start`; with no room for a page it holds nothing. */
export function createStore(components: StoreComponents, init: StoreInit): Store {
  return slotsIn(init.bytesMax) === 0 ? new EmptyStore(components, init) : new DiskStore(components, init)
}
