// Which instances get a row, and in what order. Pure; components/services-table.js draws the result.

/** @import { StatusInstance, StatusService } from './types.d.ts' */
/** @typedef {{ text: string, onlyBad: boolean, expanded: ReadonlySet<string> }} View `expanded`: services shown with all instances */
/**
 * @typedef {object} ServiceGroup
 * @property {StatusService} service
 * @property {StatusInstance[]} rows
 * @property {StatusInstance[]} rest matching instances without a row
 * @property {'bad' | 'warn' | 'fine'} tone
 * @property {boolean} expanded
 */

/** Up to this many instances in total, each has a row. */
const SMALL = 40;
/** Rows of a service that is not expanded: its worst instances. */
const WORST_ROWS = 3;
const SERVICE_ROWS = 100;
/** Rows of all services together. */
const MAX_ROWS = 300;

const TONES = { bad: 0, warn: 1, fine: 2 };

/** @param {StatusInstance} instance */
export const serving = ({ state }) => state === 'up' || state === 'probation';

/** Urgency, 0 is the most urgent. @param {StatusInstance} instance */
function rank({ state, admin, breaker, traffic, outlier }) {
  if (state === 'down' && admin === 'ready') return 0;
  if (breaker !== 'closed' || outlier) return 1;
  if (state === 'probation') return 2;
  if ((traffic.errorPercent ?? 0) >= 1) return 3;
  if (state === 'draining') return 4;
  return state === 'up' && admin === 'ready' ? 6 : 5;
}

/** @param {readonly StatusInstance[]} instances */
export const worstFirst = (instances) =>
  instances.toSorted((a, b) => rank(a) - rank(b) || (isNormal(a) ? 0 : b.since - a.since));

/** @param {StatusInstance} instance */
const isNormal = (instance) => rank(instance) === 6;

/** @param {StatusService} service */
const worstRank = ({ instances }) => Math.min(...instances.map(rank));

/** @param {StatusService} service @returns {ServiceGroup['tone']} */
export function toneOf({ instances }) {
  const count = instances.filter(serving).length;
  if (count === 0) return 'bad';
  return instances.every(isNormal) ? 'fine' : 'warn';
}

/**
 * @param {StatusService[]} services @param {View} view
 * @returns {ServiceGroup[]}
 */
export function layoutServices(services, { text, onlyBad, expanded }) {
  const query = text.trim().toLowerCase();
  const large = isLarge(services);
  let rowsLeft = MAX_ROWS;
  const groups = services.flatMap((service) => {
    const matches = matching(service, query, onlyBad);
    if (matches.length === 0 && (query || onlyBad)) return [];
    const all = !large || query !== '' || expanded.has(service.id);
    const sorted = worstFirst(matches);
    const candidates = all ? sorted : sorted.filter((instance) => !isNormal(instance));
    const rows = candidates.slice(0, Math.min(all ? SERVICE_ROWS : WORST_ROWS, rowsLeft));
    rowsLeft -= rows.length;
    return [
      {
        service,
        rows,
        rest: sorted.slice(rows.length),
        tone: toneOf(service),
        expanded: expanded.has(service.id),
      },
    ];
  });
  return groups.toSorted(
    (a, b) => TONES[a.tone] - TONES[b.tone] || worstRank(a.service) - worstRank(b.service),
  );
}

/** @param {readonly StatusService[]} services */
export const isLarge = (services) =>
  services.reduce((sum, { instances }) => sum + instances.length, 0) > SMALL;

/** @param {StatusService} service @param {string} query @param {boolean} onlyBad */
function matching({ id, routes, instances }, query, onlyBad) {
  const contains = (/** @type {string} */ text) => text.toLowerCase().includes(query);
  const whole = [id, ...routes].some(contains);
  return instances.filter(
    (instance) =>
      (!onlyBad || instance.state !== 'up') &&
      (whole || [instance.id, instance.url, instance.state, instance.reason].some(contains)),
  );
}

/** "48 down, 5 draining, 92 up", worst first. @param {readonly StatusInstance[]} instances */
export function countText(instances) {
  const counts = Map.groupBy(instances, ({ state }) => state);
  return /** @type {const} */ (['down', 'probation', 'draining', 'up'])
    .flatMap((state) => {
      const count = counts.get(state)?.length ?? 0;
      return count > 0 ? [`${count} ${state === 'probation' ? 'on probation' : state}`] : [];
    })
    .join(', ');
}
