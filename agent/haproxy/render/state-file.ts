import type { AdminState } from '../../core/state.ts';

/*
 * HAProxy restores drains and maints from its server-state file. The same file records, in comments, which of them this
 * agent set. So after any crash the agent can undo its own ones, and recognizes those that a person set.
 */

const LINE = /^# acgs-lb (drain|maint) (\S+)$/gm;

/** The content of the state file: the response to `show servers state` and the admin states that the agent set. */
export function stateFileText(serverStates: string, ownAdmin: ReadonlyMap<string, AdminState>): string {
  const own = [...ownAdmin].filter(([, admin]) => admin !== 'ready');
  return [serverStates.trim(), ...own.map(([server, admin]) => `# acgs-lb ${admin} ${server}`), ''].join(
    '\n',
  );
}

/** The admin states that the agent set, by `backend/instance`. */
export const recordedAdminStates = (text: string): Map<string, AdminState> =>
  new Map(
    [...text.matchAll(LINE)].map(([, admin, server = '']) => [server, admin === 'drain' ? 'drain' : 'maint']),
  );
