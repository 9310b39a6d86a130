import { ApiError, call, errorText, token } from '../api.js';
import { byId } from '../dom.js';

export const TOKEN_REJECTED = 'The agent no longer accepts this token.';

const dialog = () => /** @type {HTMLDialogElement} */ (byId('login'));
/** @type {(() => void) | null} */
let afterSignIn = null;

/** @param {string} [why] @param {() => void} [then] runs after a successful sign-in */
export function openLogin(why = '', then) {
  afterSignIn = then ?? null;
  byId('login-error').textContent = why;
  if (!dialog().open) dialog().showModal();
}

/** @param {() => void} onSignIn */
export function setUpLogin(onSignIn) {
  const input = /** @type {HTMLInputElement} */ (byId('login-token'));
  byId('login-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const entered = input.value.trim();
    try {
      await call('POST', '/v1/token', undefined, entered);
      token.set(entered);
      input.value = '';
      dialog().close();
      onSignIn();
      afterSignIn?.();
      afterSignIn = null;
    } catch (error) {
      const rejected = error instanceof ApiError && error.status === 401;
      byId('login-error').textContent = rejected
        ? 'The agent does not accept this token.'
        : `Sign-in failed: ${errorText(error)}`;
      input.select();
    }
  });
  dialog().addEventListener('close', () => {
    input.value = '';
  });
}
