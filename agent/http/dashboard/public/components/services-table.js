import { byId, h, patch } from '../dom.js';
import { msText, numberText, percentText, plural } from '../format.js';
import { pageHref } from '../page-link.js';
import { countText, isLarge, layoutServices, serving } from '../services-layout.js';
import { chart } from './chart.js';
import { instanceMap } from './instance-map.js';
import { drawInstance, isHighErrorRate, numberCell } from './instance-row.js';

/** @import { StatusDocument } from '../types.d.ts' */
/** @import { ServiceGroup } from '../services-layout.js' */
/** @typedef {{ at: number, large: boolean, filtered: boolean }} Drawing */

const HEADS = ['Instance', 'State', 'Reason', 'Req/s', 'Errors', 'p95', 'In flight', 'Weight', ''];
const COLUMNS = ['name', 'state', 'why', 'number', 'number', 'number', 'number', 'number', 'manage'];
/** Services shown with all instances. @type {Set<string>} */
const expanded = new Set();

/** @param {string} service */
export function toggleExpanded(service) {
  if (!expanded.delete(service)) expanded.add(service);
}

/** @param {StatusDocument} status @param {{ text: string, onlyBad: boolean }} filter */
export function drawServices(status, filter) {
  const groups = layoutServices(status.services, { ...filter, expanded });
  const filtered = filter.text.trim() !== '' || filter.onlyBad;
  const matches = groups.reduce((sum, { rows, rest }) => sum + rows.length + rest.length, 0);
  const drawing = { at: status.at, large: isLarge(status.services), filtered };
  byId('filter-count').textContent = filtered ? plural(matches, 'match').replace('matchs', 'matches') : '';
  patch(
    byId('services-body'),
    groups.length === 0
      ? h(
          'p',
          { class: 'empty' },
          filter.text.trim() ? 'No instance matches the filter.' : 'All instances are up.',
        )
      : h(
          'table',
          { class: 'instances' },
          drawHead(),
          groups.map((group) => drawService(group, drawing)),
        ),
  );
}

function drawHead() {
  const cells = HEADS.map((head, index) =>
    h(
      'th',
      {
        scope: 'col',
        class: COLUMNS[index] === 'number' ? 'number' : null,
        'data-column': COLUMNS[index] ?? null,
      },
      head || h('span', { class: 'hidden' }, 'Manage'),
    ),
  );
  return h('thead', {}, h('tr', {}, cells));
}

/** @param {ServiceGroup} group @param {Drawing} drawing */
function drawService(group, drawing) {
  const { service, rows, rest } = group;
  const compact = drawing.large && rows.length === 0 && !group.expanded && !drawing.filtered;
  const hasRest = rest.length > 0 || (group.expanded && !drawing.filtered);
  return h(
    'tbody',
    { 'data-key': service.id },
    drawServiceRow(group, drawing.large, compact),
    rows.map((instance) => drawInstance(instance, drawing.at)),
    !compact && hasRest && drawRestRow(group, drawing.filtered),
  );
}

/** @param {ServiceGroup} group @param {boolean} large @param {boolean} compact whether the row has the button to expand */
function drawServiceRow({ service, tone }, large, compact) {
  const { id, instances, traffic, inflight, queued } = service;
  return h(
    'tr',
    { class: 'service' },
    h(
      'th',
      { scope: 'rowgroup', colspan: 3 },
      h('a', { class: 'service-name', href: pageHref({ service: id }) }, id),
      h('span', { class: 'routes' }, service.routes.join('  ')),
      h(
        'span',
        { class: `serving ${tone}` },
        `${instances.filter(serving).length} of ${instances.length} serving`,
      ),
      compact && expandButton(id, false),
      large && instanceMap(instances, `${id}: ${countText(instances)}`),
    ),
    numberCell('Req/s', numberText(traffic.perSecond)),
    numberCell('Errors', percentText(traffic.errorPercent), isHighErrorRate(traffic.errorPercent)),
    numberCell('p95', msText(traffic.p95)),
    numberCell('In flight', `${numberText(inflight)}${queued > 0 ? ` +${queued}` : ''}`),
    h(
      'td',
      { colspan: 2, class: 'spark' },
      chart(traffic.history.perSecond, {
        label: `${id}: requests per second, last five minutes`,
        unit: '/s',
        minTop: 2,
      }),
    ),
  );
}

/** Counts of the instances without a row, and the button that expands the service. @param {ServiceGroup} group @param {boolean} filtered */
function drawRestRow({ service, rows, rest, expanded }, filtered) {
  const counts = rest.length === 0 ? '' : `${rows.length > 0 ? 'and ' : ''}${countText(rest)}`;
  return h(
    'tr',
    { class: 'rest', 'data-key': ' rest' },
    h(
      'td',
      { colspan: COLUMNS.length },
      h('span', {}, counts, counts && (expanded || filtered) ? '; narrow the filter to see them' : ''),
      !filtered && expandButton(service.id, expanded),
    ),
  );
}

/** @param {string} service @param {boolean} expanded */
function expandButton(service, expanded) {
  return h(
    'button',
    { type: 'button', class: 'quiet small', 'data-action': 'expand', 'data-service': service },
    expanded ? 'Show fewer' : 'Show all',
    h('span', { class: 'hidden' }, ` of ${service}`),
  );
}
