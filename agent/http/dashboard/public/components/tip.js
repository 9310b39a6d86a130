/** Shows the text in `data-tip` of the element under the pointer or with the focus. @param {HTMLElement} tip */
export function setUpTips(tip) {
  const show = (/** @type {Event} */ event) => {
    const found = event.target instanceof Element ? event.target.closest('[data-tip]') : null;
    if (!found) return;
    tip.textContent = found.getAttribute('data-tip');
    tip.classList.add('shown');
    const box = found.getBoundingClientRect();
    const left = Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8));
    const above = box.top - tip.offsetHeight - 6;
    const top = above > 4 ? above : box.bottom + 6;
    tip.style.transform = `translate(${left}px, ${top}px)`;
  };
  const hide = (/** @type {Event} */ event) => {
    if (event.target instanceof Element && event.target.closest('[data-tip]')) tip.classList.remove('shown');
  };
  document.addEventListener('pointerover', show);
  document.addEventListener('focusin', show);
  document.addEventListener('pointerout', hide);
  document.addEventListener('focusout', hide);
  document.addEventListener('keydown', ({ key }) => key === 'Escape' && tip.classList.remove('shown'));
}
