import { byId } from '../dom.js';

let timer = 0;

/** Shows a message at the bottom of the page for six seconds; screen readers announce it. @param {string} text @param {'fine' | 'bad'} tone */
export function toast(text, tone = 'fine') {
  const element = byId('toast');
  element.textContent = text;
  element.className = `toast shown ${tone}`;
  clearTimeout(timer);
  timer = window.setTimeout(() => element.classList.remove('shown'), 6_000);
}
