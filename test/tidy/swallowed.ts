/** Code that drops an error, or lets a promise go. Types such as `Promise<void>` and `() => void` do not count. */
const DROPPED = [
  /\.catch\(\(\w*\) => (undefined|null|true|false|\d|'|\[\]|\{\s*\})/,
  /, \(\) => (undefined|null|\{\s*\})\)/,
  /\bcatch (\(\w+\) )?\{\s*\}/,
  /\bcatch \{\s*$/,
  /\bvoid [\w#(]/,
]

/**
 * Numbers of the lines that drop an error or let a promise go without a comment on the line, or above it, that says
 * why.
 */
export function findSwallowed(text: string): number[] {
  const lines = text.split('\n')
  return lines.flatMap((line, index) => {
    const code = line.replace(/(^|\s)\/[/*].*$/, '')
    const isDocumentation = /^\s*\*/.test(line)
    if (isDocumentation || !DROPPED.some((pattern) => pattern.test(code))) return []
    const isExplained = code !== line || /^\s*\/\/|\*\/\s*$/.test(lines[index - 1] ?? '') ||
      (code.endsWith('{') && /^\s*\/\//.test(lines[index + 1] ?? ''))
    return isExplained ? [] : [index + 1]
  })
}
