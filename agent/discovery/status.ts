import type { Change } from '../core/state.ts';

/** `refused`: the list removes no instance. `standby`: another agent of the site is the leader and reads the source. */
export const SOURCE_STATES = ['starting', 'ok', 'refused', 'failing', 'standby'] as const;
export type SourceState = (typeof SOURCE_STATES)[number];

export interface SourceStatus {
  service: string;
  /** For people: "dns web.internal". */
  source: string;
  state: SourceState;
  /** Why it fails, or why its list removes nothing; empty when it is ok. */
  problem: string;
  since: number;
  /** When the list was last read, epoch ms; null: never since the agent started. */
  readAt: number | null;
  /** When its last event was reported, epoch ms. */
  reportedAt: number;
}

export type SourceOutcome =
  | { kind: 'read'; refusals: readonly string[] }
  | { kind: 'failed'; problem: string }
  | { kind: 'standby' };

/** While the state stays the same, a new problem is reported at most this often. */
const REPORT_EVERY_MS = 60_000;
const MAX_PROBLEMS = 3;

export const newSourceStatus = (service: string, source: string, now: number): SourceStatus => ({
  service,
  source,
  state: 'starting',
  problem: '',
  since: now,
  readAt: null,
  reportedAt: 0,
});

/** The status after a read, and the event for people; null if there is nothing to report. */
export function stepSourceStatus(
  before: SourceStatus,
  outcome: SourceOutcome,
  now: number,
): { status: SourceStatus; event: Change | null } {
  const { state, problem } = stateOf(outcome);
  const changed = state !== before.state;
  const status = {
    ...before,
    state,
    problem,
    since: changed ? now : before.since,
    readAt: outcome.kind === 'read' ? now : before.readAt,
  };
  const isReported = changed
    ? isReportedChange(before.state, state)
    : problem !== before.problem && now - before.reportedAt >= REPORT_EVERY_MS;
  if (!isReported) return { status, event: null };
  const event: Change = {
    at: now,
    service: before.service,
    instance: '',
    kind: 'discovery',
    to: state,
    reason: sourceText(status),
  };
  return { status: { ...status, reportedAt: now }, event };
}

/** A successful start and a change of the leader are not reported. */
const isReportedChange = (from: SourceState, to: SourceState): boolean =>
  to === 'failing' || to === 'refused' || (to === 'ok' && (from === 'failing' || from === 'refused'));

function stateOf(outcome: SourceOutcome): Pick<SourceStatus, 'state' | 'problem'> {
  switch (outcome.kind) {
    case 'failed':
      return { state: 'failing', problem: outcome.problem };
    case 'standby':
      return { state: 'standby', problem: '' };
    case 'read': {
      const { refusals } = outcome;
      if (refusals.length === 0) return { state: 'ok', problem: '' };
      const more = refusals.length > MAX_PROBLEMS ? ` (and ${refusals.length - MAX_PROBLEMS} more)` : '';
      return { state: 'refused', problem: `${refusals.slice(0, MAX_PROBLEMS).join('; ')}${more}` };
    }
  }
}

/** One sentence for events, alerts and the status. */
export function sourceText({ source, state, problem }: SourceStatus): string {
  switch (state) {
    case 'failing':
      return `${source} cannot be read; its last list stays in use: ${problem}`;
    case 'refused':
      return `the list of ${source} removes no instance: ${problem}`;
    case 'standby':
      return `the leader reads ${source}`;
    case 'starting':
      return `${source} has not been read yet`;
    case 'ok':
      return `${source} is read`;
  }
}
