// The address of each page is in the hash, so that a link can be shared: #/gs/gs-1?range=24h

/**
 * @typedef {object} Page
 * @property {string} [service] absent: the overview
 * @property {string} [instance]
 * @property {string} [range] `live`, a key of RANGES, or absent
 * @property {number} [since] with `until`: a fixed period, epoch milliseconds
 * @property {number} [until]
 */

/** Length of each range, milliseconds. */
export const RANGES = /** @type {const} */ ({
  '15m': 900_000,
  '1h': 3_600_000,
  '6h': 21_600_000,
  '24h': 86_400_000,
  '7d': 604_800_000,
  '30d': 2_592_000_000,
});
/** The last five minutes, from the live stream. */
export const LIVE = 'live';

/** @param {string} hash @returns {Page} */
export function parseHash(hash) {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?');
  const [service, instance] = path.split('/').filter(Boolean).map(decoded);
  const parameters = new URLSearchParams(query);
  const range = parameters.get('range') ?? '';
  const since = Number(parameters.get('since'));
  const until = Number(parameters.get('until'));
  return {
    ...(service ? { service } : {}),
    ...(service && instance ? { instance } : {}),
    ...(range === LIVE || Object.hasOwn(RANGES, range) ? { range } : {}),
    ...(since > 0 && until > since && Number.isFinite(until) ? { since, until } : {}),
  };
}

/** @param {Page} page */
export function pageHref({ service, instance, range, since, until }) {
  const path = [service, instance].flatMap((part) => (part ? [encodeURIComponent(part)] : []));
  const query = new URLSearchParams({
    ...(range && since === undefined ? { range } : {}),
    ...(since !== undefined && until !== undefined ? { since: String(since), until: String(until) } : {}),
  }).toString();
  return `#/${path.join('/')}${query ? `?${query}` : ''}`;
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
