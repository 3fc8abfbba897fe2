import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'

import { Seats } from '../../../src/daemon/seats.ts'

class Guest extends EventEmitter {
  isOpen = true

  destroy(): void {
    this.isOpen = false
    this.emit('close')
  }
}

/** Seats for two, and guests for more. */
function seated(): { seats: Seats<Guest>; guests: [Guest, Guest, Guest, Guest] } {
  return { seats: new Seats({ seatsMax: 2 }), guests: [new Guest(), new Guest(), new Guest(), new Guest()] }
}

describe('places for connections', () => {
  it('are given up by whoever has been idle for longest', () => {
    const { seats, guests: [first, second, third, fourth] } = seated()
    assert.ok(seats.seat(first) && seats.seat(second))
    seats.begin(first)()
    assert.ok(seats.seat(third))
    assert.deepEqual([first.isOpen, second.isOpen, third.isOpen], [true, false, true])
    assert.ok(seats.seat(fourth))
    assert.deepEqual([first.isOpen, third.isOpen, fourth.isOpen], [false, true, true])
  })

  it('are kept by whoever waits for an answer, until the last one', () => {
    const { seats, guests: [first, second, third, fourth] } = seated()
    seats.seat(first)
    seats.seat(second)
    const ends = [seats.begin(first), seats.begin(first)]
    seats.begin(second)
    assert.equal(seats.seat(third), false)
    assert.equal(third.isOpen, false)
    ends[0]!()
    ends[0]!()
    assert.equal(seats.seat(new Guest()), false)
    ends[1]!()
    assert.ok(seats.seat(fourth))
    assert.deepEqual([first.isOpen, second.isOpen, fourth.isOpen], [false, true, true])
  })

  it('are free again when a connection closes, and are not taken by one that has', () => {
    const { seats, guests: [first, second, third] } = seated()
    seats.seat(first)
    seats.seat(second)
    const end = seats.begin(first)
    first.destroy()
    end()
    seats.begin(first)()
    assert.ok(seats.seat(third))
    assert.ok(second.isOpen && third.isOpen)
  })
})
