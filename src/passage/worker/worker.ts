/** A worker thread of passages: one at a time, each with connections that the agent's thread hands over. */
import { parentPort, workerData } from 'node:worker_threads'

import { createPageHasher } from '../../page/index.ts'
import { assert } from '../../runtime/assert.ts'
import { systemClock } from '../../runtime/clock.ts'
import type { FromThread, ThreadInit, ToThread } from './message.ts'
import { ThreadPassage } from './threadpassage.ts'

const port = parentPort
assert(port !== null, 'passages run in a worker thread')
const hasher = createPageHasher((workerData as ThreadInit).pageKey)
const post = (message: FromThread): void => port.postMessage(message)
let passage: ThreadPassage | undefined

port.on('message', (message: ToThread) => {
  if (message.kind !== 'lane') {
    passage?.hear(message)
    return
  }
  passage = new ThreadPassage({ clock: systemClock, hasher, post }, message, () => {
    passage = undefined
    post({ kind: 'over' })
  })
})
