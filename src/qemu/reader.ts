import { Grammar } from './grammar.ts'
import { ByteInput, type Parse } from './input.ts'
import { StreamKnowledge } from './knowledge.ts'
import { RamRecords } from './ramrecords.ts'
import { resynchronise } from './resync.ts'
import type { StreamListener, StreamReader, StreamReaderOptions, StreamSummary } from './streamreader.ts'
import { Unintelligible } from './unintelligible.ts'

/** A reader for a connection whose bytes are pushed from the first on. */
export function createStreamReader(listener: StreamListener, options: StreamReaderOptions = {}): StreamReader {
  return new MigrationStreamReader(listener, options)
}

/** Runs the grammar over the pieces of one connection, and resynchronises where the bytes do not fit it. */
class MigrationStreamReader implements StreamReader {
  readonly knowledge: StreamKnowledge
  readonly #input = new ByteInput()
  readonly #records: RamRecords
  readonly #grammar: Grammar
  readonly #listener: StreamListener
  readonly #reading: Parse
  #offset = 0
  #understands = true
  #losses = 0

  constructor(listener: StreamListener, options: StreamReaderOptions) {
    this.#listener = listener
    this.knowledge = options.continuation ?? new StreamKnowledge()
    this.#records = new RamRecords(this.#input, this.knowledge, listener)
    this.#grammar = new Grammar(this.#input, this.knowledge, this.#records, listener)
    this.#reading = options.channel === 'beside'
      ? this.#readOnce(this.#grammar.beside())
      : this.#readOn(options.continuation === undefined ? this.#grammar.main() : this.#grammar.elements())
  }

  get offset(): number {
    return this.#offset
  }

  get understands(): boolean {
    return this.#understands
  }

  get undecidedBytes(): number {
    return this.#input.unreadBytes
  }

  get summary(): StreamSummary {
    return {
      ...this.#records.counts,
      blocks: this.knowledge.blocks.count,
      isPostcopy: this.knowledge.isPostcopy,
      losses: this.#losses,
    }
  }

  push(bytes: Uint8Array): void {
    this.#offset += bytes.length
    this.#input.supply(bytes)
    this.#reading.next()
  }

  /** Reads the main channel: bytes that are not understood are skipped until an element is recognised. */
  *#readOn(symbol: Parse): Parse {
    let lost = yield* this.#understood(symbol)
    let resumedAt = -1
    while (lost !== undefined && !lost.forGood) {
      // The reader resynchronised here wrongly: searching from the same place would find it again.
      if (this.#input.position === resumedAt) this.#input.at += 1
      yield* resynchronise(this.#input, this.knowledge, this.#grammar.openSection)
      resumedAt = this.#input.position
      this.#understands = true
      this.#listener.resynchronised(resumedAt)
      lost = yield* this.#understood(this.#grammar.elements())
    }
    yield* this.#passRest()
  }

  /** Reads a channel beside the main one, which has nothing to resynchronise at. */
  *#readOnce(symbol: Parse): Parse {
    yield* this.#understood(symbol)
    yield* this.#passRest()
  }

  /** Reads `symbol`; returns undefined at its end, or the reason why the bytes do not fit it. */
  *#understood(symbol: Parse): Parse<Unintelligible | undefined> {
    try {
      yield* symbol
      return undefined
    } catch (error) {
      if (!(error instanceof Unintelligible)) throw error
      this.#understands = false
      this.#losses += 1
      this.#records.forgetBlock()
      this.#listener.lost(error.reason, this.#input.position)
      return error
    }
  }

  *#passRest(): Parse {
    for (;;) {
      this.#input.drop()
      yield
    }
  }
}
