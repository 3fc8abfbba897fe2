#!/usr/bin/env -S node --min-semi-space-size=32 --initial-old-space-size=256
/**
 * Runs the `pagemesh` command if this Node can. An older Node must be able to parse this file, so it imports the rest
 * only after looking, and keeps to JavaScript of 2017.
 *
 * The first line's flags enlarge V8's young generation for a handoff's short-lived buffers: with the defaults a third
 * of the agent's time goes to garbage collection.
 */
/** As `engines` in package.json has it. */
const NODE_MAJOR_MIN = 24

if (Number.parseInt(process.versions.node, 10) >= NODE_MAJOR_MIN) {
  // It handles its errors itself and ends the process.
  void import('./run.ts')
} else {
  const needed = `Pagemesh needs Node ${NODE_MAJOR_MIN} or later, and this is ${process.versions.node}`
  process.stderr.write(`pagemesh: ${needed}: ` +
    'install a newer one, or the Debian package of Pagemesh, which brings its own.\n')
  process.exitCode = 2
}
