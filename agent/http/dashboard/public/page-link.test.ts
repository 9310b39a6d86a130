import { expect, test } from 'vitest';
import { pageHref, parseHash } from './page-link.js';

test.each([
  [{}, '#/'],
  [{ service: 'gs' }, '#/gs'],
  [{ service: 'gs', instance: 'gs-1', range: '24h' }, '#/gs/gs-1?range=24h'],
  [{ service: 'a/b ü', instance: '?#' }, '#/a%2Fb%20%C3%BC/%3F%23'],
  [{ range: 'live' }, '#/?range=live'],
  [{ service: 'gs', since: 1_000, until: 2_000 }, '#/gs?since=1000&until=2000'],
])('a link leads back to its page: %j', (page, href) => {
  expect(pageHref(page)).toBe(href);
  expect(parseHash(href)).toEqual(page);
});

test.each([
  ['', {}],
  ['#/gs?range=2w', { service: 'gs' }],
  ['#/gs?range=toString', { service: 'gs' }],
  ['#/gs?since=5&until=5', { service: 'gs' }],
  ['#/gs?since=x&until=Infinity', { service: 'gs' }],
  ['#/%E0%A4%A', { service: '%E0%A4%A' }],
])('what is wrong in a link is ignored: %s', (hash, page) => {
  expect(parseHash(hash)).toEqual(page);
});
