import assert from 'node:assert/strict'

import { firstQuestion, furtherQuestions, type OpenPages } from '../../../src/possession/questions.ts'

const NAMED = [['a', 'b'], ['b', 'c'], ['b'], []]

function open(init: Partial<OpenPages> = {}): OpenPages {
  return {
    places: [0, 1, 2, 3], namedOf: (place) => NAMED[place]!, lackOf: () => 1, wasAsked: () => false, others: [],
    ...init,
  }
}

describe('the questions about pages', () => {
  it('begin with one to the host that is named most, about all pages', () => {
    assert.deepEqual(firstQuestion(open()), new Map([['b', [0, 1, 2, 3]]]))
    assert.deepEqual(firstQuestion(open({ places: [3] })), new Map())
  })

  it('go on to hosts that are named and were not asked, for each page as many as it lacks', () => {
    const wasAsked = (host: string): boolean => host === 'b'
    assert.deepEqual(furtherQuestions(open({ wasAsked })), new Map([['a', [0]], ['c', [1]]]))
    assert.deepEqual(furtherQuestions(open({ lackOf: (place) => (place === 0 ? 2 : 1) })), new Map([
      ['a', [0]], ['b', [0, 1, 2]],
    ]))
    assert.deepEqual(furtherQuestions(open({ wasAsked: () => true })), new Map())
  })

  it('go to others where too few hosts are named for what is lacking', () => {
    const questions = furtherQuestions(open({ places: [2, 3], lackOf: () => 2, others: ['b', 'd', 'e'] }))
    assert.deepEqual(questions, new Map([['b', [2, 3]], ['d', [2, 3]]]))
  })
})
