import type { SiteService } from './view.ts';

/**
 * The order in which to try sites: serving sites first, then sites near the request's location (`locations` are its colo
 * and country), then a shuffle by weight.
 */
export function orderSites(
  sites: readonly SiteService[],
  locations: readonly string[],
  random: () => number,
): readonly SiteService[] {
  if (sites.length < 2) return sites;
  return sites
    .map((site) => ({
      site,
      rank: (site.serving ? 0 : 2) + (site.near.some((name) => locations.includes(name)) ? 0 : 1),
      // Sorting by these keys is a weighted shuffle (Efraimidis and Spirakis 2006).
      shuffleKey: -Math.log(1 - random()) / site.weight,
    }))
    .sort((a, b) => a.rank - b.rank || a.shuffleKey - b.shuffleKey)
    .map(({ site }) => site);
}
