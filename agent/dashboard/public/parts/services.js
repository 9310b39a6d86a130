import { byId, h, patch } from '../dom.js';
import { ageText, msText, numberText, percentText, plural, stateWord, whenText } from '../format.js';
import { chart } from './chart.js';
import { pill } from './icons.js';

/** @import { LiveInstance, LiveService, LiveStatus } from '../types.d.ts' */

const HEADS = ['Instance', 'State', 'Why', 'Req/s', 'Errors', 'p95', 'In flight', 'Weight', ''];
const COLUMNS = ['name', 'state', 'why', 'number', 'number', 'number', 'number', 'number', 'steer'];
/** More rows than this are not drawn at once; the filter finds the rest. */
const MOST_ROWS = 300;

/** @param {LiveStatus} status @param {{ text: string, onlyBad: boolean }} filter */
export function drawServices(status, { text, onlyBad }) {
  const wanted = text.trim().toLowerCase();
  let room = MOST_ROWS;
  let hidden = 0;
  const groups = status.services.flatMap((service) => {
    const own = service.instances.filter(
      (instance) =>
        (!onlyBad || instance.state !== 'up') &&
        (!wanted ||
          [service.id, instance.id, instance.url, instance.state, ...service.routes].some((word) =>
            word.toLowerCase().includes(wanted),
          )),
    );
    if (own.length === 0 && (wanted || onlyBad)) return [];
    const shown = own.slice(0, room);
    room -= shown.length;
    hidden += own.length - shown.length;
    return [drawService(service, shown, status.at)];
  });
  patch(
    byId('services-body'),
    groups.length === 0
      ? h('p', { class: 'empty' }, onlyBad ? 'Everything is up.' : 'Nothing matches the filter.')
      : h(
          'table',
          { class: 'instances' },
          h(
            'thead',
            {},
            h(
              'tr',
              {},
              HEADS.map((head, index) =>
                h(
                  'th',
                  {
                    scope: 'col',
                    class: index > 2 && index < 8 ? 'number' : null,
                    'data-column': COLUMNS[index] ?? null,
                  },
                  head || h('span', { class: 'hidden' }, 'Steer'),
                ),
              ),
            ),
          ),
          groups,
        ),
    hidden > 0 &&
      h('p', { class: 'muted' }, `${plural(hidden, 'more instance')}; narrow the filter to see them`),
  );
}

/** @param {LiveService} service @param {LiveInstance[]} instances @param {number} at */
function drawService(service, instances, at) {
  const serving = service.instances.filter((instance) => ['up', 'probation'].includes(instance.state)).length;
  const all = service.instances.length;
  const tone = serving === 0 ? 'bad' : serving < all ? 'warn' : 'fine';
  return h(
    'tbody',
    { 'data-key': service.id },
    h(
      'tr',
      { class: 'service' },
      h(
        'th',
        { scope: 'rowgroup', colspan: 3 },
        h('span', { class: 'service-name' }, service.id),
        h('span', { class: 'routes' }, service.routes.join('  ')),
        h('span', { class: `serving ${tone}` }, `${serving} of ${all} serving`),
      ),
      number('Req/s', numberText(service.traffic.perSecond)),
      number('Errors', percentText(service.traffic.errorPercent), bad(service.traffic.errorPercent)),
      number('p95', msText(service.traffic.p95)),
      number(
        'In flight',
        `${numberText(service.inflight)}${service.queued > 0 ? ` +${service.queued}` : ''}`,
      ),
      h(
        'td',
        { colspan: 2, class: 'spark' },
        chart(service.traffic.history.perSecond, {
          label: `${service.id}: requests per second, last five minutes`,
          unit: '/s',
          least: 2,
        }),
      ),
    ),
    instances.map((instance) => drawInstance(instance, at)),
  );
}

/** @param {LiveInstance} instance @param {number} at */
function drawInstance(instance, at) {
  const { id, service, state, reason, since, traffic } = instance;
  return h(
    'tr',
    { class: `instance ${state}`, 'data-key': id },
    h(
      'th',
      { scope: 'row' },
      h('span', { class: 'instance-name' }, id),
      h('span', { class: 'url' }, instance.url.replace(/^https?:\/\//, '')),
    ),
    h('td', { class: 'state' }, pill(state, stateWord(state)), marks(instance)),
    h(
      'td',
      { class: 'reason', title: `since ${whenText(since)}` },
      reason,
      h('span', { class: 'age' }, ` · ${ageText(at - since)}`),
    ),
    number('Req/s', numberText(traffic.perSecond)),
    number('Errors', percentText(traffic.errorPercent), bad(traffic.errorPercent)),
    number('p95', msText(traffic.p95)),
    number(
      'In flight',
      `${numberText(instance.inflight)}${instance.queued > 0 ? ` +${instance.queued}` : ''}`,
    ),
    number('Weight', `${instance.weight}${instance.priority > 1 ? ` (backup ${instance.priority})` : ''}`),
    h(
      'td',
      { class: 'steer' },
      h(
        'button',
        {
          type: 'button',
          class: 'quiet small',
          'data-action': 'manage',
          'data-service': service,
          'data-instance': id,
        },
        'Steer',
        h('span', { class: 'hidden' }, ` ${id}`),
      ),
    ),
  );
}

/** What stands apart from the plain state. @param {LiveInstance} instance */
function marks({ breaker, admin, origin }) {
  return [
    breaker !== 'closed' &&
      h(
        'span',
        { class: `mark ${breaker === 'open' ? 'bad' : 'warn'}` },
        `breaker ${breaker.replace('_', '-')}`,
      ),
    admin !== 'ready' && h('span', { class: 'mark note' }, `asked: ${admin}`),
    origin === 'api' && h('span', { class: 'mark note' }, 'registered'),
  ];
}

/** @param {string} label @param {string} text @param {boolean} [wrong] */
function number(label, text, wrong = false) {
  return h('td', { class: `number${wrong ? ' wrong' : ''}`, 'data-label': label }, text);
}

/** @param {number | null} percent */
const bad = (percent) => percent !== null && percent >= 1;
