// Events as marks on the time axis and as lines of text. Pure; components/timeline.js draws them.
import { stateText } from './format.js';

/** @import { LoggedEvent } from './types.d.ts' */
/** @typedef {'bad' | 'warn' | 'fine' | 'note' | 'accent'} MarkTone */
/** @typedef {{ at: number, position: number, tone: MarkTone, events: LoggedEvent[] }} Mark position: 0–1 on the axis */

const TONES = /** @type {Record<string, MarkTone>} */ ({
  up: 'fine',
  ready: 'fine',
  ok: 'fine',
  failing: 'bad',
  refused: 'warn',
  closed: 'fine',
  resolved: 'fine',
  down: 'bad',
  open: 'bad',
  firing: 'bad',
  probation: 'warn',
  half_open: 'warn',
});
const WORST_FIRST = /** @type {const} */ (['bad', 'warn', 'accent', 'fine', 'note']);
/** Kinds that explain a change of the curves. Health and weight have no mark: a change of state follows. */
const MARKED = ['state', 'breaker', 'outlier', 'admin', 'config', 'alert', 'rollout', 'discovery'];
/** Events closer than this part of the axis share one mark. */
const CLOSE = 0.012;

/** @param {LoggedEvent} event @returns {MarkTone} */
export function toneOfEvent({ kind, to = '' }) {
  if (kind === 'rollout' && to === 'failed') return 'bad';
  if (kind === 'config' || kind === 'rollout') return 'accent';
  return TONES[to] ?? 'note';
}

/** Marks from left to right. @param {readonly LoggedEvent[]} events @param {number} from @param {number} to @returns {Mark[]} */
export function marksOf(events, from, to) {
  /** @type {Mark[]} */
  const marks = [];
  const shown = events.filter(({ at, kind }) => at >= from && at <= to && MARKED.includes(kind));
  for (const event of shown.toSorted((a, b) => a.at - b.at)) {
    const position = (event.at - from) / (to - from);
    const last = marks.at(-1);
    if (last && position - last.position < CLOSE) last.events.push(event);
    else marks.push({ at: event.at, position, tone: 'note', events: [event] });
  }
  return marks.map((mark) => ({ ...mark, tone: worstTone(mark.events) }));
}

/** @param {readonly LoggedEvent[]} events */
function worstTone(events) {
  const tones = events.map(toneOfEvent);
  return WORST_FIRST.find((tone) => tones.includes(tone)) ?? 'note';
}

/** Who or what an event is about. @param {LoggedEvent} event */
export function subjectOfEvent({ kind, service, instance, alert }) {
  if (kind === 'config') return 'Configuration';
  if (kind === 'alert') return `Alert${alert ? ` ${alert.rule}` : ''}${service ? `, ${service}` : ''}`;
  return instance || service || 'Site';
}

/** What happened, without the reason. @param {LoggedEvent} event */
export function textOfEvent({ kind, to = '', by }) {
  const author = by ? ` by ${by}` : '';
  if (kind === 'state') return stateText(to);
  if (kind === 'admin') return `set to ${to}${author}`;
  if (kind === 'weight') return `weight ${to}${author}`;
  if (kind === 'config') return `changed${author}:`;
  if (kind === 'rollout') return `deploy ${to}${author}`;
  if (kind === 'discovery') return `source ${to}`;
  if (kind === 'command') return `command${author}:`;
  if (kind === 'alert' || kind === 'registered' || kind === 'deregistered')
    return kind === 'alert' ? to : kind;
  return `${kind} ${to.replace('_', '-')}`;
}

const MAX_TEXTS = 4;

/** One line for each event of a mark. @param {Mark} mark @param {(at: number) => string} when */
export function markText({ events }, when) {
  const lines = events
    .slice(0, MAX_TEXTS)
    .map((event) =>
      `${when(event.at)} ${subjectOfEvent(event)} ${textOfEvent(event)} ${event.reason}`.trim(),
    );
  const rest = events.length - lines.length;
  return [...lines, ...(rest > 0 ? [`and ${rest} more`] : [])].join('\n');
}
