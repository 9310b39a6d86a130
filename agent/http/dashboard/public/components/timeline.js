import { h, patch } from '../dom.js';
import { plural, whenText } from '../format.js';
import { markText, subjectOfEvent, textOfEvent, toneOfEvent } from '../markers.js';
import { icon } from './icons.js';

/** @import { Mark } from '../markers.js' */
/** @import { LoggedEvent } from '../types.d.ts' */

const MAX_MARKS = 120;

/** @param {LoggedEvent} event */
const keyOf = ({ id, at, service, instance, kind, to = '' }) =>
  id ?? `${at} ${service}/${instance} ${kind} ${to}`;

/**
 * The events as marks on one axis; a mark shows its text on hover and focus and leads to the list.
 * @param {HTMLElement} lane @param {readonly Mark[]} marks @param {{ from: number, to: number }} range
 */
export function drawLane(lane, marks, { from, to }) {
  const shown = marks.slice(-MAX_MARKS);
  patch(
    lane,
    h(
      'div',
      { class: 'lane-track' },
      shown.map((mark) => {
        const text = markText(mark, whenText);
        const count = mark.events.length;
        return h(
          'button',
          {
            type: 'button',
            class: `mark-button ${mark.tone}`,
            'data-key': String(mark.at),
            'data-tip': text,
            'data-event': keyOf(/** @type {LoggedEvent} */ (mark.events[0])),
            'aria-label': count > 1 ? `${plural(count, 'event')}: ${text}` : text,
          },
          icon(mark.tone),
          count > 1 && h('span', {}, count),
        );
      }),
    ),
    h(
      'p',
      { class: 'lane-ends muted' },
      h('span', {}, whenText(from)),
      h('span', {}, 'Events'),
      h('span', {}, whenText(to)),
    ),
  );
  // Positions are set by script: the content security policy forbids inline styles.
  const buttons = lane.querySelectorAll('.mark-button');
  for (const [index, button] of [...buttons].entries()) {
    /** @type {HTMLElement} */ (button).style.left = `${(100 * (shown[index]?.position ?? 0)).toFixed(2)}%`;
  }
}

/**
 * @typedef {object} EventList
 * @property {readonly LoggedEvent[]} events newest first
 * @property {string} kind '' for all
 * @property {boolean} more whether older ones can be loaded
 * @property {string} error
 */

/** @param {HTMLElement} element @param {EventList} list */
export function drawEventList(element, { events, kind, more, error }) {
  const shown = events.filter((event) => kind === '' || event.kind === kind);
  patch(
    element,
    error !== '' && h('p', { class: 'error' }, error),
    error === '' && shown.length === 0 && h('p', { class: 'empty' }, 'No events in this period.'),
    shown.length > 0 && h('ol', { class: 'events all' }, shown.map(drawEvent)),
    h(
      'p',
      { class: 'events-more muted' },
      plural(shown.length, 'event'),
      more &&
        h('button', { type: 'button', class: 'quiet small', 'data-action': 'older-events' }, 'Load older'),
    ),
  );
}

/** @param {LoggedEvent} event */
function drawEvent(event) {
  const tone = toneOfEvent(event);
  return h(
    'li',
    { class: tone, 'data-key': keyOf(event), tabindex: -1 },
    h('time', { datetime: new Date(event.at).toISOString() }, whenText(event.at)),
    h('span', { class: 'finding-mark' }, icon(tone)),
    h(
      'span',
      {},
      h('strong', {}, subjectOfEvent(event)),
      ` ${textOfEvent(event)} `,
      h('span', { class: 'why' }, event.reason),
    ),
  );
}
