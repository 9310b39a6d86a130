import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const MAX_COLUMNS = 100;

/** README.md, CHANGELOG.md and every page in docs/, as absolute paths. */
export function documentationPages(root: string): string[] {
  const docs = join(root, 'docs');
  const pages = readdirSync(docs, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => join(docs, file));
  return [join(root, 'README.md'), join(root, 'CHANGELOG.md'), ...pages.sort()];
}

/** Links of a page to files or headings that do not exist, as `page: link`. External links are not followed. */
export function brokenLinks(root: string, page: string): string[] {
  const broken: string[] = [];
  for (const { prose } of proseLines(page)) {
    for (const [, link = ''] of prose.replaceAll(/`[^`]*`/g, '').matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue;
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? page : resolve(dirname(page), path);
      const isFound =
        existsSync(target) &&
        (anchor === undefined || (statSync(target).isFile() && anchors(target).has(anchor)));
      if (!isFound) broken.push(`${relative(root, page)}: ${link}`);
    }
  }
  return broken;
}

/** Lines of prose that are too long, as `page:line`. Tables and code blocks may be longer. */
export function longLines(root: string, page: string): string[] {
  return proseLines(page)
    .filter(({ prose }) => !/^\s*(\||<|#|!\[)/.test(prose) && [...prose].length > MAX_COLUMNS)
    .map(({ line }) => `${relative(root, page)}:${line}`);
}

/** The lines outside code blocks, numbered from 1. */
function proseLines(page: string): { line: number; prose: string }[] {
  const lines: { line: number; prose: string }[] = [];
  let isCode = false;
  for (const [index, text] of readFileSync(page, 'utf8').split('\n').entries()) {
    if (/^\s*```/.test(text)) isCode = !isCode;
    else if (!isCode) lines.push({ line: index + 1, prose: text });
  }
  return lines;
}

/** The anchors that GitHub gives the headings of a page. */
function anchors(page: string): Set<string> {
  const found = new Set<string>();
  for (const { prose } of proseLines(page)) {
    const heading = /^#{1,6} +(.*)$/.exec(prose)?.[1];
    if (heading === undefined) continue;
    const slug = heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-');
    let unique = slug;
    for (let copy = 1; found.has(unique); copy++) unique = `${slug}-${copy}`;
    found.add(unique);
  }
  return found;
}
