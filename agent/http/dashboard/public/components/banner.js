import { agentNow } from '../agent-clock.js';
import { byId, h, patch } from '../dom.js';
import { ageText, whenText } from '../format.js';
import { pageHref } from '../page-link.js';
import { verdictOf } from '../verdict.js';
import { icon } from './icons.js';

/** @import { Receivers, StatusDocument } from '../types.d.ts' */
/** @import { Problem, Verdict } from '../verdict.js' */

const MAX_PROBLEMS = 6;
const MAX_REASON_LENGTH = 240;

/** A restart of the agent takes a second or two; report only a longer loss of connection. */
const SILENCE_MS = 3_000;

/**
 * The verdict: what is wrong, since when, who was notified, what to do.
 * @param {StatusDocument} status @param {number} silentMs time without data; 0: connected @param {Receivers} receivers
 */
export function drawBanner(status, silentMs, receivers) {
  const verdict = verdictOf(status);
  const problems = [...silenceProblem(status, silentMs), ...verdict.problems];
  // Without data the last known state is first, but a critical problem in it stays critical.
  const tone = problems.some((problem) => problem.tone === 'bad') ? 'bad' : (problems[0]?.tone ?? 'fine');
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
        h('h1', {}, titleOf(problems, verdict)),
        h('p', {}, `${capitalized(verdict.counts)}.`, lastChangeText(status)),
      ),
    ),
    problems.length > 0 &&
      h(
        'ol',
        { class: 'problems', 'aria-label': 'Problems, worst first' },
        problems
          .slice(0, MAX_PROBLEMS)
          .map((problem) => drawProblem(problem, receivers, problems.length === 1)),
      ),
    problems.length > MAX_PROBLEMS &&
      h('p', { class: 'muted' }, `and ${problems.length - MAX_PROBLEMS} more below`),
    verdict.notes.length > 0 &&
      h('ul', { class: 'notes' }, verdict.notes.slice(0, MAX_PROBLEMS).map(drawNote)),
  );
  announce([titleOf(problems, verdict), ...problems.slice(0, MAX_PROBLEMS).map(({ message }) => message)]);
  document.title = `${problems.length === 0 ? '' : `(${problems.length}) `}acgs-lb ${status.site}`;
}

/** @param {Pick<Problem, 'title'>[]} problems @param {Verdict} verdict */
function titleOf([first, ...others], { headline }) {
  if (!first) return headline;
  return others.length === 0 ? first.title : `${others.length + 1} problems`;
}

/** @param {string} text */
const capitalized = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** @param {StatusDocument} status @param {number} silentMs @returns {Problem[]} */
function silenceProblem({ at }, silentMs) {
  if (silentMs < SILENCE_MS) return [];
  const title = 'No data from the agent';
  return [
    {
      tone: 'warn',
      place: 'agent',
      service: '',
      instances: [],
      title,
      why: 'This page shows the last known state. Traffic is not affected: it does not pass through the agent.',
      message: title,
      since: at,
      notified: 'no: only this page shows it',
      action: 'Look at the agent’s process and its log: acgs-lb doctor.',
      rule: '',
      clients: false,
      effects: [],
    },
  ];
}

/** @param {StatusDocument} status */
function lastChangeText({ changes: [last] }) {
  return last ? ` Last change ${whenText(last.at)}.` : '';
}

/** @param {string} why */
const clip = (why) => (why.length > MAX_REASON_LENGTH ? `${why.slice(0, MAX_REASON_LENGTH)}…` : why);

/** @param {Problem} problem @param {Receivers} receivers @param {boolean} single the title is the heading already */
function drawProblem(problem, receivers, single) {
  const { tone, title, why, since, action, effects } = problem;
  return h(
    'li',
    { class: `problem ${tone}`, 'data-key': title },
    h(
      'div',
      { class: 'problem-what' },
      !single && [h('span', { class: 'finding-mark' }, icon(tone)), h('strong', {}, title)],
      why && h('span', { class: 'why' }, clip(why)),
      effects.map((effect) => h('span', { class: 'effect' }, `Effect: ${clip(effect)}`)),
      links(problem),
    ),
    h(
      'dl',
      { class: 'problem-facts' },
      since !== null && fact('Since', whenText(since), h('small', {}, ageText(agentNow() - since))),
      fact('Notified', notifiedText(problem, receivers)),
      action && fact('Do', action),
    ),
  );
}

/** @param {Problem} problem @param {Receivers} receivers */
function notifiedText({ notified }, receivers) {
  if (!notified.includes('sent') || notified.includes('not sent')) return notified;
  const names = Object.keys(receivers);
  const failing = names.filter((name) => receivers[name]?.lastError);
  const reached = names.filter((name) => !failing.includes(name));
  const to = reached.length > 0 ? ` to ${reached.join(', ')}` : '';
  return `${notified}${to}${failing.length > 0 ? `; does not reach ${failing.join(', ')}` : ''}`;
}

/** @param {string} name @param {...(Node | string)} value */
const fact = (name, ...value) => h('div', { 'data-key': name }, h('dt', {}, name), h('dd', {}, ...value));

const MAX_LINKS = 4;

/** Links to the pages of the service and its instances. @param {Problem} problem */
function links({ service, instances }) {
  if (service === '') return null;
  const pages = instances
    .slice(0, MAX_LINKS)
    .map((instance) => ({ text: instance, page: { service, instance } }));
  return h(
    'span',
    { class: 'problem-links' },
    [{ text: service, page: { service } }, ...pages].map(({ text, page }) =>
      h('a', { href: pageHref(page), 'data-key': text }, text),
    ),
  );
}

/** @param {Problem} note */
function drawNote({ title, why, action }) {
  return h(
    'li',
    { class: 'note', 'data-key': title },
    h('span', { class: 'finding-mark' }, icon('note')),
    h(
      'span',
      {},
      h('strong', {}, title),
      ' ',
      h('span', { class: 'why' }, clip(why)),
      action && ` ${action}`,
    ),
  );
}

/** For screen readers. Changes only when the text does, because ages change every second. @param {string[]} sentences */
function announce(sentences) {
  const element = byId('announce');
  const text = sentences.join('. ');
  if (element.textContent !== text) element.textContent = text;
}
