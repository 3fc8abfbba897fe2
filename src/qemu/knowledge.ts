import { BlockTable } from './blocktable.ts'
import { fail } from './unintelligible.ts'

/** What lies in a section's body, as far as this folder can walk it. */
export type SectionKind =
  | 'ram' | 'dirtyBitmap' | 'vfio' | 'block' | 'htab' | 'storageAttributes' | 'virtioMemEarly' | 'unknown'

/** The most iterable sections of one stream; QEMU has one per device that can be iterated. */
const SECTIONS_MAX = 1024

/**
 * What a migration's main channel told about the channels and connections that come later: a recovered connection
 * repeats neither header nor sections nor blocks, and the preempt channel never has them.
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
  /** POSTCOPY_ADVISE told of block page sizes other than 4 KiB: announced blocks may have theirs. */
  mayHavePageSizes = false
  /** The device package went by: RAM goes on behind it. */
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
}
