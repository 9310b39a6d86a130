import { expect, test } from 'vitest';
import { coversHost } from './account.ts';

test.each([
  ['api.example.com/*', true],
  ['https://api.example.com/*', true],
  ['*.example.com/*', true],
  ['*example.com/*', true],
  ['*/*', true],
  ['example.com/*', false],
  ['*.shop.example.com/*', false],
  // The route of a path leaves the rest to the custom domain.
  ['*.example.com/img/*', false],
  ['api.example.com/', false],
])('the route %s takes all requests for api.example.com: %s', (pattern, covers) => {
  expect(coversHost(pattern, 'api.example.com')).toBe(covers);
});
