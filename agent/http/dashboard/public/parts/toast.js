import { byId } from '../dom.js';

let timer = 0;

/** One line at the foot of the page, read out too; gone after a while. @param {string} text @param {'fine' | 'bad'} tone */
export function toast(text, tone = 'fine') {
  const element = byId('toast');
  element.textContent = text;
  element.className = `toast shown ${tone}`;
  clearTimeout(timer);
  timer = window.setTimeout(() => element.classList.remove('shown'), 6_000);
}
