/** A governance workflow that must stay where its state is. Instants are epoch milliseconds, durations seconds. */
export interface GovernanceSession {
  /** UUIDv7: the time in it lets every edge isolate place the session with no look-up. */
  id: string;
  workflowType: WorkflowType;
  userId: string;
  state: SessionState;
  currentStep: string;
  completedSteps: string[];
  stepDurations: Record<string, number>;
  stepStartedAt: number;
  data: Record<string, unknown>;
  metadata: Record<string, unknown>;
  /** Service → instance. */
  pins: Record<string, string>;
  /** When a pin changed hands, and why. */
  moves: PinMove[];
  createdAt: number;
  lastActivity: number;
  totalDuration: number | null;
  /** Why it was suspended, failed or expired. */
  reason: string | null;
  /** Goes up by one with every change of the workflow; pins move without it. */
  version: number;
}

export interface PinMove {
  at: number;
  service: string;
  from: string;
  to: string;
  reason: string;
}

export const WORKFLOW_TYPES = [
  'policy_creation',
  'constitutional_compliance',
  'policy_enforcement',
  'wina_oversight',
  'audit_transparency',
] as const;
export type WorkflowType = (typeof WORKFLOW_TYPES)[number];

export const SESSION_STATES = ['active', 'suspended', 'completed', 'expired', 'failed'] as const;
export type SessionState = (typeof SESSION_STATES)[number];

/** An active session without a step for so long expires; a suspended one is meant to wait, so it gets a week. */
export const IDLE_LIMIT_MS: Partial<Record<SessionState, number>> = {
  active: 3_600_000,
  suspended: 7 * 86_400_000,
};

export type SessionCommand =
  | { do: 'advance'; step: string; data?: Record<string, unknown> }
  | { do: 'suspend'; reason?: string }
  | { do: 'resume' }
  | { do: 'complete'; data?: Record<string, unknown> }
  | { do: 'fail'; reason?: string };

/** `full`: the session would grow past its bounds. */
export type SessionCommandOutcome =
  | { ok: true; session: GovernanceSession }
  | { ok: false; kind: 'conflict' | 'full'; why: string };

/** Bytes of JSON: data of many steps together, as much as one body may bring. */
export const MAX_DATA_BYTES = 65_536;
/** Different steps; the workflows have a dozen. */
export const MAX_STEPS = 256;

/** The states each command may be given in. */
const ALLOWED: Record<SessionCommand['do'], readonly SessionState[]> = {
  advance: ['active'],
  suspend: ['active'],
  resume: ['suspended'],
  complete: ['active'],
  fail: ['active', 'suspended'],
};

/** What a command makes of a session, or why it may not. */
export function applyCommand(
  session: GovernanceSession,
  command: SessionCommand,
  now: number,
): SessionCommandOutcome {
  if (isIdle(session, now)) return { ok: false, kind: 'conflict', why: 'the session has expired' };
  if (!ALLOWED[command.do].includes(session.state)) {
    const why = `cannot ${command.do}: the session is ${session.state}`;
    return { ok: false, kind: 'conflict', why };
  }
  const next = changed(session, command, now);
  const why = whyTooLarge(next, command);
  return why === null ? { ok: true, session: next } : { ok: false, kind: 'full', why };
}

function changed(session: GovernanceSession, command: SessionCommand, now: number): GovernanceSession {
  const next = { ...session, version: session.version + 1, lastActivity: now };
  switch (command.do) {
    case 'advance': {
      const done = finishStep(session, now);
      const data = { ...session.data, ...command.data };
      return { ...next, ...done, currentStep: command.step, stepStartedAt: now, data };
    }
    case 'suspend':
      return { ...next, state: 'suspended', reason: command.reason ?? null };
    case 'resume':
      return { ...next, state: 'active', reason: null };
    case 'complete': {
      const data = { ...session.data, ...command.data };
      const ended = { ...finishStep(session, now), totalDuration: seconds(session.createdAt, now), data };
      return { ...next, ...ended, state: 'completed', reason: null };
    }
    case 'fail': {
      const totalDuration = seconds(session.createdAt, now);
      return { ...next, state: 'failed', totalDuration, reason: command.reason ?? null };
    }
  }
}

/** Every change writes and copies the whole session, so it must not grow for ever. */
function whyTooLarge({ data, completedSteps }: GovernanceSession, command: SessionCommand): string | null {
  // Completing is always possible: it is the way out.
  if (command.do === 'advance' && completedSteps.length > MAX_STEPS) {
    return `a session has at most ${MAX_STEPS} different steps: complete this one and begin another`;
  }
  const bytes = 'data' in command ? Buffer.byteLength(JSON.stringify(data)) : 0;
  return bytes > MAX_DATA_BYTES
    ? `its data would be ${bytes} bytes of JSON, and at most ${MAX_DATA_BYTES} are kept: overwrite what is no longer needed, or keep it elsewhere`
    : null;
}

export function isIdle(session: Pick<GovernanceSession, 'state' | 'lastActivity'>, now: number): boolean {
  const limit = IDLE_LIMIT_MS[session.state];
  return limit !== undefined && now - session.lastActivity >= limit;
}

/** A step done twice counts the time of both. */
function finishStep(
  session: GovernanceSession,
  now: number,
): Pick<GovernanceSession, 'completedSteps' | 'stepDurations'> {
  const { currentStep, completedSteps, stepDurations, stepStartedAt } = session;
  // A step may have any name, that of something every object has too: `constructor`.
  const before = Object.hasOwn(stepDurations, currentStep) ? (stepDurations[currentStep] ?? 0) : 0;
  return {
    completedSteps: completedSteps.includes(currentStep) ? completedSteps : [...completedSteps, currentStep],
    stepDurations: {
      ...stepDurations,
      [currentStep]: before + seconds(stepStartedAt, now),
    },
  };
}

const seconds = (from: number, to: number): number => Math.max(0, to - from) / 1000;
