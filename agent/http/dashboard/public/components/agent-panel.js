import { browserAheadMs } from '../agent-clock.js';
import { byId, h, patch } from '../dom.js';
import { ageText, numberText } from '../format.js';
import { factRow } from './facts.js';

/** @import { StatusDocument } from '../types.d.ts' */

/** Report a larger difference between the clocks of agent and browser. */
const MAX_SKEW_MS = 5_000;

/** @param {StatusDocument} status */
export function drawAgentPanel({ sinks, leader, startedAt, at, version, snapshot }) {
  const skewMs = browserAheadMs();
  patch(
    byId('agent'),
    h(
      'dl',
      { class: 'facts-list' },
      factRow('Role', roleText(leader)),
      factRow('Running', `${ageText(at - startedAt)}, version ${version}`),
      factRow('Snapshot', `${snapshot.epoch}.${snapshot.seq}`),
      Math.abs(skewMs) > MAX_SKEW_MS &&
        factRow(
          'Clock',
          `${ageText(Math.abs(skewMs))} ${skewMs > 0 ? 'behind' : 'ahead of'} this browser’s`,
          { wrong: true },
        ),
      Object.entries(sinks).map(([name, { state, pending, dropped, lastError }]) => {
        const waiting = pending > 0 ? `, ${numberText(pending)} waiting` : '';
        const lost = dropped > 0 ? `, ${numberText(dropped)} dropped` : '';
        return factRow(name, `${state}${waiting}${lost}`, { wrong: state !== 'ok', title: lastError });
      }),
    ),
  );
}

/** @param {StatusDocument['leader']} leader */
function roleText({ role, holder }) {
  if (role === 'single') return 'the only agent';
  return role === 'leader' ? 'leader' : `standby; ${holder ? `${holder} leads` : 'no leader'}`;
}
