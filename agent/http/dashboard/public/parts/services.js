import { byId, h, patch } from '../dom.js';
import { countText, layOut, SMALL, serving } from '../fleet.js';
import { msText, numberText, percentText, plural } from '../format.js';
import { chart } from './chart.js';
import { fleetMap } from './map.js';
import { bad, drawInstance, number } from './rows.js';

/** @import { StatusService, StatusDocument } from '../types.d.ts' */
/** @import { Shown } from '../fleet.js' */

const HEADS = ['Instance', 'State', 'Why', 'Req/s', 'Errors', 'p95', 'In flight', 'Weight', ''];
const COLUMNS = ['name', 'state', 'why', 'number', 'number', 'number', 'number', 'number', 'steer'];
/** Services whose every instance is asked for. @type {Set<string>} */
const all = new Set();

/** @param {string} service */
export function toggleAll(service) {
  if (!all.delete(service)) all.add(service);
}

/** @param {StatusDocument} status @param {{ text: string, onlyBad: boolean }} filter */
export function drawServices(status, filter) {
  const groups = layOut(status.services, { ...filter, all });
  const large = status.services.reduce((sum, { instances }) => sum + instances.length, 0) > SMALL;
  const filtered = filter.text.trim() !== '' || filter.onlyBad;
  const matches = groups.reduce((sum, { rows, rest }) => sum + rows.length + rest.length, 0);
  byId('filter-count').textContent = filtered ? plural(matches, 'match').replace('matchs', 'matches') : '';
  patch(
    byId('services-body'),
    groups.length === 0
      ? h('p', { class: 'empty' }, filter.text.trim() ? 'Nothing matches the filter.' : 'Everything is up.')
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
          groups.map((group) => drawService(group, status.at, large, filtered)),
        ),
  );
}

/** @param {Shown & { service: StatusService }} group @param {number} at @param {boolean} large @param {boolean} filtered */
function drawService({ service, rows, rest, tone, open }, at, large, filtered) {
  const { instances } = service;
  const asUsual = large && rows.length === 0 && !open && !filtered;
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
        h(
          'span',
          { class: `serving ${tone}` },
          `${instances.filter(serving).length} of ${instances.length} serving`,
        ),
        asUsual && showButton(service.id, false),
        large && fleetMap(instances, `${service.id}: ${countText(instances)}`),
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
    rows.map((instance) => drawInstance(instance, at)),
    !asUsual &&
      (rest.length > 0 || (open && !filtered)) &&
      restRow(service.id, rows.length, rest, open, filtered),
  );
}

/**
 * What is not drawn, in numbers, and the button that draws it.
 * @param {string} service @param {number} shown @param {Shown['rest']} rest @param {boolean} open @param {boolean} filtered
 */
function restRow(service, shown, rest, open, filtered) {
  const more = rest.length === 0 ? '' : `${shown > 0 ? 'and ' : ''}${countText(rest)}`;
  return h(
    'tr',
    { class: 'rest', 'data-key': ' rest' },
    h(
      'td',
      { colspan: COLUMNS.length },
      h('span', {}, more, more && (open || filtered) ? '; narrow the filter to see them' : ''),
      !filtered && showButton(service, open),
    ),
  );
}

/** @param {string} service @param {boolean} open */
function showButton(service, open) {
  return h(
    'button',
    { type: 'button', class: 'quiet small', 'data-action': 'all', 'data-service': service },
    open ? 'Show fewer' : 'Show all',
    h('span', { class: 'hidden' }, ` of ${service}`),
  );
}
