/**
 * Shows whether a connection lasts: `stream.ts listen HOST PORT` sends back what it gets, `stream.ts send HOST PORT`
 * sends something ten times a second and ends with status 1 when the connection does. It runs on the package's Node,
 * with nothing else of this checkout.
 */
import { connect, createServer } from 'node:net'

const [, , what, host = '', port] = process.argv

if (what === 'listen') {
  createServer((socket) => {
    socket.on('error', () => socket.destroy()).pipe(socket)
  }).listen(Number(port), host)
} else {
  const socket = connect(Number(port), host)
  socket.on('connect', () => setInterval(() => socket.write('something'), 100)).resume()
  socket.on('error', ({ message }) => process.stderr.write(`${message}\n`)).on('close', () => process.exit(1))
}
