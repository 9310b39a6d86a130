// Which instances are shown, in what order, and what is said of the others. Pure: the drawing is in parts/.

/** @import { StatusInstance, StatusService } from './types.d.ts' */
/** @typedef {{ text: string, onlyBad: boolean, all: ReadonlySet<string> }} View `all`: services shown whole */
/**
 * @typedef {object} Shown
 * @property {StatusInstance[]} rows
 * @property {StatusInstance[]} rest matching ones that are not drawn
 * @property {'bad' | 'warn' | 'fine'} tone
 * @property {boolean} open a person asked for all of it
 */

/** Up to so many instances in all, every one has its row. */
export const SMALL = 40;
/** Of a service that is not shown whole, the worst. */
const WORST_ROWS = 3;
const SERVICE_ROWS = 100;
/** Rows of all services together. */
const MOST_ROWS = 300;

const TONES = { bad: 0, warn: 1, fine: 2 };

/** @param {StatusInstance} instance */
export const serving = ({ state }) => state === 'up' || state === 'probation';

/** How much a person wants to see it: 0 first. @param {StatusInstance} instance */
function rank({ state, admin, breaker, traffic }) {
  if (state === 'down' && admin === 'ready') return 0;
  if (breaker !== 'closed') return 1;
  if (state === 'probation') return 2;
  if ((traffic.errorPercent ?? 0) >= 1) return 3;
  if (state === 'draining') return 4;
  return state === 'up' && admin === 'ready' ? 6 : 5;
}

/** Nothing about it asks for a look. @param {StatusInstance} instance */
const ordinary = (instance) => rank(instance) === 6;

/** @param {StatusService} service @returns {Shown['tone']} */
export function toneOf({ instances }) {
  const count = instances.filter(serving).length;
  return count === 0 ? 'bad' : count < instances.length ? 'warn' : 'fine';
}

/**
 * @param {StatusService[]} services @param {View} view
 * @returns {(Shown & { service: StatusService })[]}
 */
export function layOut(services, { text, onlyBad, all }) {
  const wanted = text.trim().toLowerCase();
  const total = services.reduce((sum, { instances }) => sum + instances.length, 0);
  const large = total > SMALL;
  let room = MOST_ROWS;
  const groups = services.flatMap((service) => {
    const own = matching(service, wanted, onlyBad);
    if (own.length === 0 && (wanted || onlyBad)) return [];
    const open = all.has(service.id);
    const sorted = large ? own.toSorted((a, b) => rank(a) - rank(b) || b.since - a.since) : own;
    const most = !large || open || wanted ? SERVICE_ROWS : WORST_ROWS;
    const candidates = !large || open || wanted ? sorted : sorted.filter((instance) => !ordinary(instance));
    const rows = candidates.slice(0, Math.min(most, room));
    room -= rows.length;
    return [{ service, rows, rest: sorted.slice(rows.length), tone: toneOf(service), open }];
  });
  return large ? groups.toSorted((a, b) => TONES[a.tone] - TONES[b.tone]) : groups;
}

/** @param {StatusService} service @param {string} wanted @param {boolean} onlyBad */
function matching({ id, routes, instances }, wanted, onlyBad) {
  const whole = [id, ...routes].some((word) => word.toLowerCase().includes(wanted));
  return instances.filter(
    (instance) =>
      (!onlyBad || instance.state !== 'up') &&
      (whole ||
        [instance.id, instance.url, instance.state, instance.reason].some((word) =>
          word.toLowerCase().includes(wanted),
        )),
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
