import { agentNow } from '../agent-clock.js';
import { h } from '../dom.js';
import { ageText, whenText } from '../format.js';

/** @import { ApiSession } from '../types.d.ts' */

const MAX_LINES = 20;

/** The instances the session is pinned to. @param {ApiSession} session */
export const pinsText = ({ pins }) => [...new Set(Object.values(pins))].join(', ') || '–';

/**
 * All of one session. `copy`: Postgres is unavailable and this is the copy in Redis.
 * @param {ApiSession | null} session @param {boolean} copy @param {string} [error]
 */
export function drawSession(session, copy, error = '') {
  return [
    h('h2', { id: 'session-title' }, 'Session'),
    session === null
      ? h('p', { class: 'error' }, error)
      : [
          copy &&
            h(
              'p',
              { class: 'error' },
              'Postgres is unavailable: this is the copy in Redis and may be outdated.',
            ),
          facts(session),
          list(
            'Completed steps',
            session.completedSteps.map((step) => {
              const seconds = session.stepDurations[step];
              return seconds === undefined ? step : `${step}, ${ageText(seconds * 1000)}`;
            }),
          ),
          list(
            'Moves',
            session.moves.map(
              ({ at, service, from, to, reason }) =>
                `${whenText(at)} ${service}: ${from || 'none'} → ${to}, ${reason}`,
            ),
          ),
        ],
    h(
      'p',
      { class: 'dialog-actions' },
      h('button', { type: 'button', class: 'quiet', 'data-action': 'close' }, 'Close'),
    ),
  ].flat();
}

/** @param {ApiSession} session */
function facts(session) {
  const ago = (/** @type {number} */ at) => `${whenText(at)} · ${ageText(agentNow() - at)} ago`;
  const pins = Object.entries(session.pins).map(([service, instance]) => `${service} → ${instance}`);
  return h(
    'dl',
    { class: 'facts-list two' },
    [
      ['Id', session.id],
      ['Workflow', session.workflowType.replaceAll('_', ' ')],
      ['User', session.userId],
      ['State', session.reason ? `${session.state}: ${session.reason}` : session.state],
      ['Step', `${session.currentStep} for ${ageText(agentNow() - session.stepStartedAt)}`],
      ['Created', ago(session.createdAt)],
      ['Last active', ago(session.lastActivity)],
      ['Pinned', pins.join(', ') || 'none'],
    ].map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
  );
}

/** The latest items of a list under a heading. @param {string} title @param {string[]} lines */
function list(title, lines) {
  if (lines.length === 0) return null;
  const shown = lines.slice(-MAX_LINES);
  const omitted = lines.length - shown.length;
  return h(
    'div',
    { class: 'session-list' },
    h('h3', {}, title, omitted > 0 && h('small', {}, `the last ${shown.length} of ${lines.length}`)),
    h(
      'ul',
      {},
      shown.map((line) => h('li', {}, line)),
    ),
  );
}
