import { agentNow } from '../agent-clock.js';
import { byId, h, patch } from '../dom.js';
import { findings } from '../findings.js';
import { ageText, plural, whenText } from '../format.js';
import { icon } from './icons.js';

/** @import { StatusDocument } from '../types.d.ts' */
/** @import { Finding } from '../findings.js' */

const MAX_FINDINGS = 6;
const MAX_REASON_LENGTH = 240;

/** A restart of the agent takes a second or two; report only a longer loss of connection. */
const SILENCE_MS = 3_000;

/** @param {StatusDocument} status @param {number} silentMs time without data; 0: connected */
export function drawBanner(status, silentMs) {
  const found = [...silenceFindings(status, silentMs), ...findings(status)];
  const serious = found.filter(({ tone }) => tone !== 'note');
  const title = titleOf(serious);
  // A single problem is the heading; a list would repeat it.
  const single = found.length === 1 ? serious[0] : undefined;
  const listed = single ? [] : found.slice(0, MAX_FINDINGS);
  const tone = found[0]?.tone ?? 'fine';
  byId('banner').className = `banner ${tone}`;
  patch(
    byId('banner'),
    h(
      'div',
      { class: 'banner-head' },
      h('span', { class: 'banner-mark' }, icon(tone)),
      h(
        'div',
        {},
        h('h1', {}, title),
        single &&
          h('p', { class: 'alone' }, h('span', { class: 'why' }, clip(single.why)), sinceText(single.since)),
        h('p', {}, countsText(status), lastChangeText(status)),
      ),
    ),
    listed.length > 0 && h('ul', { class: 'findings' }, listed.map(drawFinding)),
    !single &&
      found.length > listed.length &&
      h('p', { class: 'muted' }, `and ${found.length - listed.length} more below`),
  );
  announce([title, ...found.slice(0, MAX_FINDINGS).map((finding) => `${finding.title}: ${finding.why}`)]);
  document.title = `${serious.length === 0 ? '' : `(${serious.length}) `}acgs-lb ${status.site}`;
}

/** @param {Finding[]} serious */
function titleOf([first, ...others]) {
  if (!first) return 'All services are healthy';
  return others.length === 0 ? first.title : plural(others.length + 1, 'problem');
}

/** @param {StatusDocument} status */
function countsText({ services }) {
  const instances = services.flatMap((service) => service.instances);
  const up = instances.filter(({ state }) => state === 'up').length;
  return `${up} of ${plural(instances.length, 'instance')} up, ${plural(services.length, 'service')}`;
}

/** @param {StatusDocument} status @param {number} silentMs @returns {Finding[]} */
function silenceFindings({ at }, silentMs) {
  if (silentMs < SILENCE_MS) return [];
  const why =
    'This page shows the last known state. Traffic is not affected: it does not pass through the agent.';
  return [{ tone: 'warn', title: 'No data from the agent', why, since: at }];
}

/** @param {StatusDocument} status */
function lastChangeText({ changes: [last] }) {
  return last ? `; last change ${whenText(last.at)}` : '';
}

/** @param {string} why */
const clip = (why) => (why.length > MAX_REASON_LENGTH ? `${why.slice(0, MAX_REASON_LENGTH)}…` : why);

/** @param {Finding} finding */
function drawFinding({ tone, title, why, since }) {
  return h(
    'li',
    { class: `finding ${tone}`, 'data-key': title },
    h('span', { class: 'finding-mark' }, icon(tone)),
    h('span', {}, h('strong', {}, title), ' ', h('span', { class: 'why' }, clip(why))),
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

/** For screen readers. Changes only when the text does, because ages change every second. @param {string[]} sentences */
function announce(sentences) {
  const element = byId('announce');
  const text = sentences.join('. ');
  if (element.textContent !== text) element.textContent = text;
}
