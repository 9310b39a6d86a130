import { ApiError, call, token } from '../api.js';
import { byId } from '../dom.js';

const dialog = () => /** @type {HTMLDialogElement} */ (byId('login'));
/** @type {(() => void) | null} */
let waiting = null;

/** @param {string} [why] @param {() => void} [then] run once signed in */
export function openLogin(why = '', then) {
  waiting = then ?? null;
  byId('login-error').textContent = why;
  if (!dialog().open) dialog().showModal();
}

/** @param {() => void} signedIn */
export function setUpLogin(signedIn) {
  const input = /** @type {HTMLInputElement} */ (byId('login-token'));
  byId('login-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const given = input.value.trim();
    try {
      await call('POST', '/v1/token', undefined, given);
      token.set(given);
      input.value = '';
      dialog().close();
      signedIn();
      waiting?.();
      waiting = null;
    } catch (error) {
      const refused = error instanceof ApiError && (error.status === 401 || error.status === 403);
      byId('login-error').textContent = refused
        ? 'The agent does not accept this token.'
        : `Not signed in: ${error instanceof Error ? error.message : error}`;
      input.select();
    }
  });
  dialog().addEventListener('close', () => {
    input.value = '';
  });
}

/** @param {Element} button */
export function closeOnAction(button) {
  button.closest('dialog')?.close();
}
