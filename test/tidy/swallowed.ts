/** Where an error is dropped, or a promise is let go. Types such as `Promise<void>` and `() => void` are not meant. */
const DROPPED = [
  /\.catch\(\(\w*\) => (undefined|null|true|false|\d|'|\[\]|\{\s*\})/,
  /, \(\) => (undefined|null|\{\s*\})\)/,
  /\bcatch (\(\w+\) )?\{\s*\}/,
  /\bcatch \{\s*$/,
  /\bvoid [\w#(]/,
]

/** Numbers of the lines that drop an error or let a promise go with no comment on the line, or above it, to say why. */
export function findSwallowed(text: string): number[] {
  const lines = text.split('\n')
  return lines.flatMap((line, index) => {
    const code = line.replace(/(^|\s)\/[/*].*$/, '')
    const isDocumentation = /^\s*\*/.test(line)
    if (isDocumentation || !DROPPED.some((pattern) => pattern.test(code))) return []
    const isExplained = code !== line || /^\s*\/\/|\*\/\s*$/.test(lines[index - 1] ?? '')
      || (code.endsWith('{') && /^\s*\/\//.test(lines[index + 1] ?? ''))
    return isExplained ? [] : [index + 1]
  })
}
