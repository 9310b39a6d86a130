import { byId, h, patch } from '../dom.js';
import { ageText, numberText, whenText } from '../format.js';
import { icon } from './icons.js';

/** Panels whose facts come from their own lists, asked for every few seconds. @param {typeof import('../api.js').call} call */
export async function refreshPanels(call) {
  await Promise.all([
    panel('alerts', () => call('GET', '/v1/alerts'), drawAlerts),
    panel('sessions', () => call('GET', '/v1/sessions/stats'), drawSessions),
  ]);
}

/** A part the agent does not have stays hidden. @param {string} id @param {() => Promise<any>} ask @param {(answer: any) => (Node | false | null)[]} draw */
async function panel(id, ask, draw) {
  try {
    const nodes = draw(await ask());
    patch(byId(id), nodes);
    byId(id).hidden = nodes.length === 0;
  } catch {
    if (!byId(id).hasChildNodes()) byId(id).hidden = true;
  }
}

/** @param {any} answer */
function drawAlerts(answer) {
  const all = Array.isArray(answer?.alerts) ? answer.alerts : [];
  const open = all.filter(
    (/** @type {any} */ alert) =>
      !(alert.resolvedAt ?? alert.resolved_at) && alert.state !== 'resolved' && alert.status !== 'resolved',
  );
  return [
    h(
      'div',
      { class: 'card-head' },
      h('h2', { id: 'alerts-title' }, 'Alerts'),
      h('p', { class: 'muted' }, open.length === 0 ? '' : String(open.length)),
    ),
    open.length === 0
      ? h('p', { class: 'empty' }, 'No alert is firing.')
      : h(
          'ul',
          { class: 'findings plain' },
          open.slice(0, 20).map((/** @type {any} */ alert) => {
            const tone = alert.severity === 'warning' ? 'warn' : 'bad';
            const since = Number(alert.since ?? alert.startedAt ?? alert.openedAt ?? 0);
            return h(
              'li',
              {
                class: `finding ${tone}`,
                'data-key': String(alert.id ?? `${alert.metric} ${alert.service}`),
              },
              h('span', { class: 'finding-mark' }, icon(tone)),
              h(
                'span',
                {},
                h(
                  'strong',
                  {},
                  String(
                    alert.title ?? alert.summary ?? [alert.service, alert.metric].filter(Boolean).join(' '),
                  ),
                ),
                ' ',
                h('span', { class: 'why' }, String(alert.message ?? alert.reason ?? alert.severity ?? '')),
              ),
              since > 0 &&
                h('span', { class: 'since' }, `since ${whenText(since)} · ${ageText(Date.now() - since)}`),
            );
          }),
        ),
  ];
}

/** @param {any} answer */
function drawSessions(answer) {
  const states = Object.entries(answer?.byState ?? answer?.states ?? {}).filter(
    ([, count]) => typeof count === 'number',
  );
  return [
    h('div', { class: 'card-head' }, h('h2', { id: 'sessions-title' }, 'Governance sessions')),
    states.length === 0
      ? h('p', { class: 'empty' }, 'None yet.')
      : h(
          'dl',
          { class: 'facts-list' },
          states.map(([state, count]) =>
            h('div', {}, h('dt', {}, state), h('dd', {}, numberText(Number(count)))),
          ),
        ),
  ];
}
