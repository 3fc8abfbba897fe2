/** The health check of docker-compose.yml's hosts: prints what is missing, for `docker inspect`. */
import { hostname } from 'node:os'

import { describeError } from '../../src/runtime/errors.ts'
import { askHost } from './hostsocket.ts'

try {
  await askHost(hostname(), { ask: 'health' })
} catch (error) {
  console.log(describeError(error))
  process.exitCode = 1
}
