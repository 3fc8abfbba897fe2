/** Whether what an argument is called, in the help, is the path of a file. */
export function isPath(name: string): boolean {
  return ['file', 'socket', 'addr'].includes(name)
}
