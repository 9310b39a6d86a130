import { expect, it } from 'vitest';
import { liveKeys } from './keys.ts';

it('every key and the channel contain the site, so that sites share one Redis', () => {
  const namesOf = (site: string): string[] =>
    Object.values(liveKeys(site)).map((key) => (typeof key === 'string' ? key : key('gs', 'gs-1')));
  const [near, far] = [namesOf('near'), namesOf('far')];
  expect(near).toHaveLength(9);
  for (const [index, name] of near.entries()) {
    expect(name.split(':')).toContain('near');
    expect(far[index]).toBe(name.replace('near', 'far'));
  }
});
