// Builds and patches DOM nodes. Never uses innerHTML, so text from the network stays text.

/** @typedef {Node | string | number | null | undefined | false} Child */

const SVG = 'http://www.w3.org/2000/svg';
const SVG_TAGS = new Set(['svg', 'path', 'circle', 'line', 'rect', 'title']);

/**
 * @param {string} tag
 * @param {Record<string, string | number | boolean | null | undefined>} [attributes] false, null and undefined omit the attribute
 * @param {...(Child | Child[])} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  const element = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...nodesOf(children));
  return /** @type {HTMLElement} */ (element);
}

/** @param {(Child | Child[])[]} children */
function nodesOf(children) {
  return children
    .flat()
    .filter((child) => child !== null && child !== undefined && child !== false && child !== '')
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}

/** @param {string} id */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`no #${id} in the page`);
  return element;
}

/**
 * Makes `parent` contain `children` and changes only what differs, so that focus, selection and a screen reader's position
 * survive an update per second. Children with `data-key` are matched by it, others by position.
 * @param {Element} parent
 * @param {...(Child | Child[])} children
 */
export function patch(parent, ...children) {
  const keyed = new Map();
  for (const child of parent.children) {
    const key = child.getAttribute('data-key');
    if (key !== null) keyed.set(key, child);
  }
  let cursor = parent.firstChild;
  for (const next of nodesOf(children)) {
    const key = keyOf(next);
    const candidate = key === null ? cursor : keyed.get(key);
    if (!candidate || !sameKind(candidate, next) || (key === null && keyOf(candidate) !== null)) {
      parent.insertBefore(next, cursor);
      continue;
    }
    if (candidate === cursor) cursor = cursor?.nextSibling ?? null;
    else parent.insertBefore(candidate, cursor);
    update(candidate, next);
  }
  while (cursor) {
    const obsolete = cursor;
    cursor = cursor.nextSibling;
    obsolete.remove();
  }
}

/** @param {Node} node */
function keyOf(node) {
  return node instanceof Element ? node.getAttribute('data-key') : null;
}

/** @param {Node} a @param {Node} b */
function sameKind(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName;
}

/** @param {Node} current @param {Node} next */
function update(current, next) {
  if (!(current instanceof Element) || !(next instanceof Element)) {
    if (current.nodeValue !== next.nodeValue) current.nodeValue = next.nodeValue;
    return;
  }
  for (const { name, value } of next.attributes) {
    if (current.getAttribute(name) !== value) current.setAttribute(name, value);
  }
  for (const { name } of [...current.attributes]) {
    // `open` belongs to the user.
    if (!next.hasAttribute(name) && name !== 'open') current.removeAttribute(name);
  }
  patch(current, ...next.childNodes);
}
