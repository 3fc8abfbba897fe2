/** What a Markdown document holds: code, links, places that others link to. Pure. */

const CODE_BLOCK = /^```(\w*)\n(.*?)^```$/gms

/** The code blocks of one language. */
export function blocksOf(text: string, language: string): string[] {
  return [...text.matchAll(CODE_BLOCK)].filter(([, name]) => name === language).map(([, , code = '']) => code)
}

/** Where the links and pictures lead, as they are written: `folder/file.md#place`. Others' sites are left out. */
export function linksOf(text: string): string[] {
  const links = [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
  return links.filter((target) => !/^[a-z]+:/.test(target))
}

/** The places that a link may name, as GitHub makes them of headings: `## Two commands` is `two-commands`. */
export function placesOf(text: string): string[] {
  return [...withoutCode(text).matchAll(/^#+ (.*)$/gm)]
    .map(([, heading = '']) => heading.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-'))
}

function withoutCode(text: string): string {
  return text.replace(CODE_BLOCK, '').replace(/`[^`\n]*`/g, (code) => code.slice(1, -1).replace(/[[\]()]/g, ''))
}
