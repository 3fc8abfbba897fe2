import { assert } from '../runtime/assert.ts'
import { BLOCKS_MAX, BlockTable } from './blocktable.ts'
import { fail } from './unintelligible.ts'

/** The kinds of section bodies that this folder can walk. */
const SECTION_KINDS = [
  'ram', 'dirtyBitmap', 'vfio', 'block', 'htab', 'storageAttributes', 'virtioMemEarly', 'unknown',
] as const
export type SectionKind = (typeof SECTION_KINDS)[number]

/** The most iterable sections of one stream; QEMU has one per iterable device. */
const SECTIONS_MAX = 1024

/** Knowledge as JSON: it may be kept in a file and read by another agent than its writer. */
export interface StreamKnowledgeData {
  version: 1
  /** In the order of their announcement; names in Latin-1, one letter per byte. */
  blocks: { name: string; bytes: number }[]
  sections: { id: number; kind: SectionKind }[]
  ramSection: number
  hasFooters: boolean
  hasGuestAddresses: boolean
  mayHavePageSizes: boolean
  isPostcopy: boolean
}

/**
 * What a migration's main channel told that later channels and connections need: a recovered connection repeats neither
 * header nor sections nor blocks, and the preempt channel never has them.
 */
export class StreamKnowledge {
  readonly blocks = new BlockTable()
  readonly #sections = new Map<number, SectionKind>()
  /** Id of RAM's section, -1 while unknown. */
  ramSection = -1
  /** Machine types up to 2.3 write neither a configuration nor section footers. */
  hasFooters = true
  /** With x-ignore-shared every announced block has its guest address. */
  hasGuestAddresses = false
  /** POSTCOPY_ADVISE named block page sizes other than 4 KiB: announced blocks may carry theirs. */
  mayHavePageSizes = false
  /** The device package passed: RAM continues after it. */
  isPostcopy = false

  /** The kind of section `id`, undefined if it never started. */
  section(id: number): SectionKind | undefined {
    return this.#sections.get(id)
  }

  addSection(id: number, kind: SectionKind): void {
    if (this.#sections.size >= SECTIONS_MAX && !this.#sections.has(id)) fail(`more than ${SECTIONS_MAX} sections`)
    this.#sections.set(id, kind)
    if (kind === 'ram') this.ramSection = id
  }

  /** Takes over `data`, which must be valid (`isKnowledgeData`). */
  restore(data: StreamKnowledgeData): this {
    assert(isKnowledgeData(data), 'knowledge from elsewhere is looked at before it is used')
    this.blocks.clear()
    this.#sections.clear()
    for (const { name, bytes } of data.blocks) this.blocks.add(Buffer.from(name, 'latin1'), bytes)
    for (const { id, kind } of data.sections) this.addSection(id, kind)
    const { ramSection, hasFooters, hasGuestAddresses, mayHavePageSizes, isPostcopy } = data
    return Object.assign(this, { ramSection, hasFooters, hasGuestAddresses, mayHavePageSizes, isPostcopy })
  }

  toData(): StreamKnowledgeData {
    const { ramSection, hasFooters, hasGuestAddresses, mayHavePageSizes, isPostcopy } = this
    return {
      version: 1,
      blocks: this.blocks.list(),
      sections: [...this.#sections].map(([id, kind]) => ({ id, kind })),
      ramSection, hasFooters, hasGuestAddresses, mayHavePageSizes, isPostcopy,
    }
  }
}

/** Whether `data` has the shape of `toData`'s result. */
export function isKnowledgeData(data: unknown): data is StreamKnowledgeData {
  if (!isRecord(data) || data['version'] !== 1) return false
  const { blocks, sections, ramSection } = data
  return Array.isArray(blocks) && blocks.length <= BLOCKS_MAX && blocks.every(isBlock) &&
    Array.isArray(sections) && sections.length <= SECTIONS_MAX && sections.every(isSection) &&
    (ramSection === -1 || isU32(ramSection)) &&
    ['hasFooters', 'hasGuestAddresses', 'mayHavePageSizes', 'isPostcopy'].every((key) => typeof data[key] === 'boolean')
}

/** Knowledge from data, which must be valid (`isKnowledgeData`). */
export function readKnowledge(data: StreamKnowledgeData): StreamKnowledge {
  return new StreamKnowledge().restore(data)
}

function isBlock(block: unknown): boolean {
  if (!isRecord(block)) return false
  const { name, bytes } = block
  const isName = typeof name === 'string' && name.length >= 1 && name.length <= 255 && /^[\x00-\xff]*$/.test(name)
  return isName && Number.isSafeInteger(bytes) && (bytes as number) >= 0
}

function isSection(section: unknown): boolean {
  return isRecord(section) && isU32(section['id']) && SECTION_KINDS.includes(section['kind'] as SectionKind)
}

function isU32(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff_ffff
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
