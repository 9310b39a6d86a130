import { expect, test } from 'vitest';
import { brokenLinks, documentationPages, longLines } from './docs-links.ts';

const ROOT = new URL('..', import.meta.url).pathname;
const pages = documentationPages(ROOT);

test('every link in the documentation has a target', () => {
  expect(pages.length).toBeGreaterThan(20);
  expect(pages.flatMap((page) => brokenLinks(ROOT, page))).toEqual([]);
});

test('prose is wrapped at 100 columns', () => {
  expect(pages.flatMap((page) => longLines(ROOT, page))).toEqual([]);
});
