import { agentNow } from '../clock.js';
import { byId, h, patch } from '../dom.js';
import { findings } from '../findings.js';
import { ageText, plural, whenText } from '../format.js';
import { icon } from './icons.js';

/** @import { StatusDocument } from '../types.d.ts' */
/** @import { Finding } from '../findings.js' */

const MOST = 6;

/** A lost line is told from this long on: a restart of the agent takes a second or two. */
const SILENCE_MS = 3_000;

/** @param {StatusDocument} status @param {import('./alerts.js').Alert[]} alerts @param {number} silentMs since the last news; 0: it comes */
export function drawVerdict(status, alerts, silentMs) {
  const found = [...silenceFindings(status, silentMs), ...findings(status, alerts)];
  const tone = found[0]?.tone ?? 'fine';
  const instances = status.services.flatMap((service) => service.instances);
  const up = instances.filter((instance) => instance.state === 'up').length;
  const serious = found.filter((finding) => finding.tone !== 'note');
  const title =
    tone === 'bad' || tone === 'warn'
      ? serious.length === 1
        ? (serious[0]?.title ?? '')
        : `${plural(serious.length, 'thing')} need${serious.length === 1 ? 's' : ''} a look`
      : 'Everything is all right';
  const lead = `${up} of ${plural(instances.length, 'instance')} up, ${plural(status.services.length, 'service')}`;
  // A single trouble is the heading itself; a list would only say it twice.
  const alone = found.length === 1 && serious.length === 1 ? found[0] : undefined;
  const shown = alone ? [] : found.slice(0, MOST);
  byId('verdict').className = `verdict ${tone}`;
  patch(
    byId('verdict'),
    h(
      'div',
      { class: 'verdict-head' },
      h('span', { class: 'verdict-mark' }, icon(tone)),
      h(
        'div',
        {},
        h('h1', {}, title),
        alone &&
          h('p', { class: 'alone' }, h('span', { class: 'why' }, clipped(alone.why)), sinceText(alone.since)),
        h('p', {}, lead, lastChange(status)),
      ),
    ),
    shown.length > 0 &&
      h(
        'ul',
        { class: 'findings' },
        shown.map((finding) => drawFinding(finding)),
      ),
    !alone &&
      found.length > shown.length &&
      h('p', { class: 'muted' }, `and ${found.length - shown.length} more below`),
  );
  announce([title, ...found.slice(0, MOST).map((finding) => `${finding.title}: ${finding.why}`)].join('. '));
  document.title = `${tone === 'fine' || tone === 'note' ? '' : `(${serious.length}) `}acgs-lb ${status.site}`;
}

/** What follows is then only what was. @param {StatusDocument} status @param {number} silentMs @returns {Finding[]} */
function silenceFindings({ at }, silentMs) {
  if (silentMs < SILENCE_MS) return [];
  const why = 'This page shows how things stood then. Traffic does not pass through the agent.';
  return [{ tone: 'warn', title: 'No news from the agent', why, since: at }];
}

/** @param {StatusDocument} status */
function lastChange(status) {
  const last = status.changes[0];
  return last ? `; last change ${whenText(last.at)}` : '';
}

/** Its row has the rest. @param {string} why */
const clipped = (why) => (why.length > 240 ? `${why.slice(0, 240)}…` : why);

/** @param {Finding} finding */
function drawFinding({ tone, title, why, since }) {
  return h(
    'li',
    { class: `finding ${tone}`, 'data-key': title },
    h('span', { class: 'finding-mark' }, icon(tone)),
    h('span', {}, h('strong', {}, title), ' ', h('span', { class: 'why' }, clipped(why))),
    sinceText(since),
  );
}

/** @param {number | null} since */
function sinceText(since) {
  return (
    since !== null &&
    h(
      'span',
      { class: 'since' },
      `since ${whenText(since)}`,
      h('span', { class: 'age' }, ` · ${ageText(agentNow() - since)}`),
    )
  );
}

/** Read out only when the sentence itself is another: the page's clock must not speak every second. @param {string} sentence */
function announce(sentence) {
  const element = byId('announce');
  if (element.textContent !== sentence) element.textContent = sentence;
}
