import { agentNow } from '../clock.js';
import { h } from '../dom.js';
import { ageText, whenText } from '../format.js';

/**
 * @typedef {{ id: string, workflowType: string, userId: string, state: string, currentStep: string,
 *   completedSteps: string[], stepDurations: Record<string, number>, stepStartedAt: number,
 *   pins: Record<string, string>, moves: { at: number, service: string, from: string, to: string, reason: string }[],
 *   createdAt: number, lastActivity: number, reason: string | null, version: number }} Session
 */

const MOST = 20;

/** The instances that hold it. @param {Session} session */
export const pinsText = ({ pins }) => [...new Set(Object.values(pins))].join(', ') || '–';

/**
 * One session whole. `copy`: Postgres did not answer, this is what Redis kept.
 * @param {Session | null} session @param {boolean} copy @param {string} [trouble]
 */
export function drawSession(session, copy, trouble = '') {
  return [
    h('h2', { id: 'session-title' }, 'Session'),
    session === null
      ? h('p', { class: 'error' }, trouble)
      : [
          copy &&
            h('p', { class: 'error' }, 'Postgres does not answer: this is the copy, perhaps a little old.'),
          facts(session),
          list(
            'Steps done',
            session.completedSteps.map((step) => {
              const seconds = session.stepDurations[step];
              return seconds === undefined ? step : `${step}, ${ageText(seconds * 1000)}`;
            }),
          ),
          list(
            'Moves',
            session.moves.map(
              ({ at, service, from, to, reason }) =>
                `${whenText(at)} ${service}: ${from || 'nowhere'} → ${to}, ${reason}`,
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

/** @param {Session} session */
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
      ['Begun', ago(session.createdAt)],
      ['Last active', ago(session.lastActivity)],
      ['Pinned', pins.join(', ') || 'nowhere'],
    ].map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
  );
}

/** The newest of a list, under a heading. @param {string} title @param {string[]} lines */
function list(title, lines) {
  if (lines.length === 0) return null;
  const shown = lines.slice(-MOST);
  const left = lines.length - shown.length;
  return h(
    'div',
    { class: 'session-list' },
    h('h3', {}, title, left > 0 && h('small', {}, `the last ${shown.length} of ${lines.length}`)),
    h(
      'ul',
      {},
      shown.map((line) => h('li', {}, line)),
    ),
  );
}
