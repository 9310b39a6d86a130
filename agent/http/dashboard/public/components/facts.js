import { h } from '../dom.js';

/**
 * One row of a definition list. `title` is the tooltip of a wrong value.
 * @param {string} name @param {string} value @param {{ wrong?: boolean, title?: string | null }} [options]
 */
export function factRow(name, value, { wrong = false, title = null } = {}) {
  return h(
    'div',
    { 'data-key': name },
    h('dt', {}, name),
    h('dd', { class: wrong ? 'wrong' : null, title: wrong ? title : null }, value),
  );
}

/** A table head. An empty name is the column of buttons. @param {readonly string[]} names @param {(index: number) => string | null} [classOf] */
export function tableHead(names, classOf = () => null) {
  return h(
    'thead',
    {},
    h(
      'tr',
      {},
      names.map((name, index) =>
        h('th', { scope: 'col', class: classOf(index) }, name || h('span', { class: 'hidden' }, 'Actions')),
      ),
    ),
  );
}
