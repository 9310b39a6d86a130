const KEY = 'acgs-theme';
const ORDER = /** @type {const} */ (['auto', 'light', 'dark']);

/** `auto` follows the system. The choice is kept in local storage. @param {HTMLElement} button */
export function setUpTheme(button) {
  let theme = ORDER.find((known) => known === localStorage.getItem(KEY)) ?? 'auto';
  const show = () => {
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  button.addEventListener('click', () => {
    theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length] ?? 'auto';
    localStorage.setItem(KEY, theme);
    show();
  });
  show();
}
