/** The health check of docker-compose.yml's hosts: says what is missing where `docker inspect` shows it. */
import { hostname } from 'node:os'

import { describeError } from '../../src/runtime/errors.ts'
import { askHost } from './hostsocket.ts'

try {
  await askHost(hostname(), { ask: 'health' })
} catch (error) {
  console.log(describeError(error))
  process.exitCode = 1
}
