import type { SiteService } from './view.ts';

/**
 * In which order to try sites: those that serve before those that do not, the near before the far (by the colo or
 * country the request came in at), and among equals by weight.
 */
export function orderSites(
  sites: readonly SiteService[],
  place: readonly string[],
  random: () => number,
): readonly SiteService[] {
  if (sites.length < 2) return sites;
  return sites
    .map((site) => ({
      site,
      rank: (site.serving ? 0 : 2) + (site.near.some((name) => place.includes(name)) ? 0 : 1),
      // Exponential races (Efraimidis and Spirakis 2006): sorting by them is a weighted shuffle.
      race: -Math.log(1 - random()) / site.weight,
    }))
    .sort((a, b) => a.rank - b.rank || a.race - b.race)
    .map(({ site }) => site);
}
