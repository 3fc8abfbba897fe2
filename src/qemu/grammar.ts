/**
 *   main      = 'QEVM' u32:3 [configuration] element*
 *   recovered = element*                             knowing the sections and blocks of the first connection
 *   beside    = multifd | preempt                    told apart by their first four bytes
 *   preempt   = records                              knowing the blocks of the main channel
 *   element   = start | part | end | full | command | 00
 *
 * Reading ends after RAM's END section in pre-copy (device states follow without a length; only the run state is
 * searched for in them) and at 00.
 */
import { blockList } from './blocklist.ts'
import { COMMAND, command } from './command.ts'
import { CONFIGURATION, configuration } from './configuration.ts'
import type { ByteInput, Parse } from './input.ts'
import type { SectionKind, StreamKnowledge } from './knowledge.ts'
import { multifd, MULTIFD_MAGIC } from './multifd.ts'
import type { RamRecords } from './ramrecords.ts'
import { RunStateSearch } from './runstate.ts'
import {
  SECTION_END, SECTION_FULL, SECTION_PART, SECTION_START, sectionFooter, sectionHeader, walkBody,
} from './section.ts'
import type { StreamListener } from './streamreader.ts'
import { fail, failForGood } from './unintelligible.ts'

const MAGIC = 0x5145564d
const FILE_VERSION = 3
const TLS_HANDSHAKE = 0x16
const END_OF_FILE = 0x00

/** The symbols of the grammar that depend on what came before. */
export class Grammar {
  readonly #input: ByteInput
  readonly #knowledge: StreamKnowledge
  readonly #records: RamRecords
  readonly #listener: StreamListener
  readonly #runState: RunStateSearch
  /** A section came after the device package. */
  #isHandedOver = false
  /** The section being read: if its body is not understood, the reader searches for its footer. */
  openSection: number | undefined

  constructor(input: ByteInput, knowledge: StreamKnowledge, records: RamRecords, listener: StreamListener) {
    this.#input = input
    this.#knowledge = knowledge
    this.#records = records
    this.#listener = listener
    this.#runState = new RunStateSearch((state) => listener.runState(state))
  }

  *main(): Parse {
    yield* this.#fileHeader()
    yield* this.#input.need(1)
    // Machine type 2.4 introduced both.
    if (this.#input.u8(0) === CONFIGURATION) yield* configuration(this.#input, this.#knowledge)
    else this.#knowledge.hasFooters = false
    yield* this.elements()
  }

  *beside(): Parse {
    yield* this.#input.need(4)
    if (this.#input.u32(0) !== MULTIFD_MAGIC) yield* this.#records.read()
    else yield* multifd(this.#input, { listener: this.#listener, counts: this.#records.counts })
  }

  *elements(): Parse {
    const input = this.#input
    for (;;) {
      this.openSection = undefined
      yield* input.need(1)
      switch (input.u8(0)) {
        case SECTION_START:
        case SECTION_FULL:
          yield* this.#headedSection()
          break
        case SECTION_PART:
          yield* this.#part()
          break
        case SECTION_END:
          if (yield* this.#end()) yield* this.#runState.read(input, Infinity)
          break
        case COMMAND:
          yield* command(input, this.#knowledge, this.#listener, this.#runState)
          break
        case END_OF_FILE:
          this.#listener.mark('eof', input.position)
          return
        default:
          fail(`0x${input.u8(0).toString(16)} begins no element`)
      }
    }
  }

  *#fileHeader(): Parse {
    const input = this.#input
    yield* input.need(8)
    const magic = input.u32(0)
    if (input.u8(0) === TLS_HANDSHAKE) failForGood('QEMU encrypts the stream itself (tls-creds)')
    if (magic === MULTIFD_MAGIC) failForGood('this is a multifd channel')
    if (magic !== MAGIC) failForGood('this is no QEMU migration stream')
    if (input.u32(4) !== FILE_VERSION) failForGood(`stream version ${input.u32(4)}, not ${FILE_VERSION}`)
    input.at += 8
  }

  *#headedSection(): Parse {
    const input = this.#input
    const header = yield* sectionHeader(input)
    const isStart = input.u8(0) === SECTION_START
    this.openSection = header.id
    if (isStart) this.#knowledge.addSection(header.id, header.kind)
    if (header.kind === 'ram' && !isStart) fail('RAM in one piece')
    if (header.kind === 'ram') this.#listener.mark('ramStart', input.position)
    input.at += header.bytes
    if (header.kind === 'unknown') fail(`section '${header.name}' has a layout that this version does not know`)
    if (header.kind === 'ram') {
      yield* blockList(input, this.#knowledge)
      this.#records.forgetBlock()
    }
    yield* this.#body(header.kind, header.id)
  }

  *#part(): Parse {
    const kind = yield* this.#startedSection()
    this.#input.at += 5
    yield* this.#body(kind, this.openSection!)
  }

  /** Reads an END section; returns whether nothing after it can be read. */
  *#end(): Parse<boolean> {
    const kind = yield* this.#startedSection()
    if (kind === 'ram') this.#listener.mark('ramEnd', this.#input.position)
    this.#input.at += 5
    yield* this.#body(kind, this.openSection!)
    return kind === 'ram' && !this.#knowledge.isPostcopy
  }

  *#startedSection(): Parse<SectionKind> {
    yield* this.#input.need(5)
    const id = this.#input.u32(1)
    const kind = this.#knowledge.section(id)
    if (kind === undefined) fail(`section ${id} never started`)
    this.openSection = id
    if (this.#knowledge.isPostcopy && !this.#isHandedOver) {
      this.#isHandedOver = true
      this.#listener.mark('handedOver', this.#input.position)
    }
    return kind
  }

  *#body(kind: SectionKind, id: number): Parse {
    if (kind === 'ram') yield* this.#records.read()
    else yield* walkBody(this.#input, kind, id)
    yield* sectionFooter(this.#input, this.#knowledge, id)
  }
}
