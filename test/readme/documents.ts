/** The parts of a Markdown document: code, links, link targets. Pure. */

const CODE_BLOCK = /^```(\w*)\n(.*?)^```$/gms

/** The code blocks of one language. */
export function blocksOf(text: string, language: string): string[] {
  return [...text.matchAll(CODE_BLOCK)].filter(([, name]) => name === language).map(([, , code = '']) => code)
}

/** Targets of links and pictures, as written: `folder/file.md#place`. Links to other sites are left out. */
export function linksOf(text: string): string[] {
  const links = [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
  return links.filter((target) => !/^[a-z]+:/.test(target))
}

/** The link targets that GitHub makes of headings: `## Two commands` is `two-commands`. */
export function placesOf(text: string): string[] {
  return [...withoutCode(text).matchAll(/^#+ (.*)$/gm)]
    .map(([, heading = '']) => heading.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-'))
}

function withoutCode(text: string): string {
  return text.replace(CODE_BLOCK, '').replace(/`[^`\n]*`/g, (code) => code.slice(1, -1).replace(/[[\]()]/g, ''))
}
