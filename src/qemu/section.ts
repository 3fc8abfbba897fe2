/**
 *   start   = 01 header body footer          an iterable device, setup
 *   part    = 02 u32:id body footer
 *   end     = 03 u32:id body footer
 *   full    = 04 header body footer          a device that is sent at once
 *   header  = u32:id cstr:name u32:instance u32:version
 *   footer  = 7e u32:id                      absent for machine types up to 2.3
 */
import type { ByteInput, Parse } from './input.ts'
import { dirtyBitmap, diskBlocks, hashTable, storageAttributes, virtioMemEarly } from './iterables.ts'
import type { SectionKind, StreamKnowledge } from './knowledge.ts'
import { fail } from './unintelligible.ts'
import { vfio } from './vfio.ts'

export const SECTION_START = 0x01
export const SECTION_PART = 0x02
export const SECTION_END = 0x03
export const SECTION_FULL = 0x04
export const SECTION_FOOTER = 0x7e

const RAM_NAME = 'ram'
export const RAM_VERSION = 4

export interface SectionHeader {
  id: number
  name: string
  kind: SectionKind
  /** Bytes of the header, the type byte included. */
  bytes: number
}

/** Peeks at the header of a START or FULL section, its type byte included, without reading it. */
export function* sectionHeader(input: ByteInput): Parse<SectionHeader> {
  yield* input.need(6)
  const nameLength = input.u8(5)
  const bytes = 6 + nameLength + 8
  yield* input.need(bytes)
  const name = input.text(6, nameLength)
  const instance = input.u32(6 + nameLength)
  const version = input.u32(6 + nameLength + 4)
  const isOtherRam = name === RAM_NAME && (instance !== 0 || version !== RAM_VERSION)
  return { id: input.u32(1), name, kind: isOtherRam ? 'unknown' : sectionKind(name), bytes }
}

function sectionKind(name: string): SectionKind {
  switch (name) {
    case RAM_NAME: return 'ram'
    case 'dirty-bitmap': return 'dirtyBitmap'
    case 'block': return 'block'
    case 'spapr/htab': return 'htab'
    case 's390-storage_attributes': return 'storageAttributes'
  }
  // Devices put their path before the name.
  const lastPart = name.slice(name.lastIndexOf('/') + 1)
  if (lastPart === 'vfio') return 'vfio'
  if (lastPart === 'virtio-mem-device-early') return 'virtioMemEarly'
  return 'unknown'
}

/** Walks the body of a section other than RAM. */
export function walkBody(input: ByteInput, kind: Exclude<SectionKind, 'ram'>, id: number): Parse {
  switch (kind) {
    case 'dirtyBitmap': return dirtyBitmap(input)
    case 'vfio': return vfio(input, id)
    case 'block': return diskBlocks(input)
    case 'htab': return hashTable(input)
    case 'storageAttributes': return storageAttributes(input)
    case 'virtioMemEarly': return virtioMemEarly(input)
    case 'unknown': return fail(`section ${id} has a layout that this version does not know`)
  }
}

/** Reads the footer of section `id`. */
export function* sectionFooter(input: ByteInput, knowledge: StreamKnowledge, id: number): Parse {
  if (!knowledge.hasFooters) return
  yield* input.need(5)
  if (input.u8(0) !== SECTION_FOOTER || input.u32(1) !== id) fail('a section does not end where it should')
  input.at += 5
}
