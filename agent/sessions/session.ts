/** A governance workflow that stays on the instances that hold its state. Instants are epoch milliseconds, durations seconds. */
export interface GovernanceSession {
  /** UUIDv7. From the time in it, every edge isolate computes the session's instance without a lookup. */
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
  /** History of pins that moved. */
  moves: PinMove[];
  createdAt: number;
  lastActivity: number;
  totalDuration: number | null;
  /** Why it was suspended, failed or expired. */
  reason: string | null;
  /** Increases by one with every change of the workflow; moving a pin does not change it. */
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

/** A session expires after this long without a command. */
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

/** `full`: the session would exceed its size limits. */
export type SessionCommandOutcome =
  | { ok: true; session: GovernanceSession }
  | { ok: false; kind: 'conflict' | 'full'; why: string };

/** Bytes of JSON, for the data of all steps together. */
export const MAX_DATA_BYTES = 65_536;
/** Distinct steps of one session; a typical workflow has a dozen. */
export const MAX_STEPS = 256;

/** The states in which each command is allowed. */
const ALLOWED: Record<SessionCommand['do'], readonly SessionState[]> = {
  advance: ['active'],
  suspend: ['active'],
  resume: ['suspended'],
  complete: ['active'],
  fail: ['active', 'suspended'],
};

/** The session after the command, or why the command is refused. */
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
      const totalDuration = seconds(session.createdAt, now);
      return { ...next, ...finishStep(session, now), totalDuration, data, state: 'completed', reason: null };
    }
    case 'fail': {
      const totalDuration = seconds(session.createdAt, now);
      return { ...next, state: 'failed', totalDuration, reason: command.reason ?? null };
    }
  }
}

/** Limits the size of a session: every change writes all of it. */
function whyTooLarge({ data, completedSteps }: GovernanceSession, command: SessionCommand): string | null {
  // A session with too many steps can still be completed.
  if (command.do === 'advance' && completedSteps.length > MAX_STEPS) {
    return `a session has at most ${MAX_STEPS} distinct steps; complete this session and create another`;
  }
  const bytes = 'data' in command ? Buffer.byteLength(JSON.stringify(data)) : 0;
  return bytes > MAX_DATA_BYTES
    ? `the session data would be ${bytes} bytes of JSON, the limit is ${MAX_DATA_BYTES}; overwrite fields that are no longer needed, or store them elsewhere`
    : null;
}

export const isOpen = (state: SessionState): boolean => state === 'active' || state === 'suspended';

export function isIdle(session: Pick<GovernanceSession, 'state' | 'lastActivity'>, now: number): boolean {
  const limit = IDLE_LIMIT_MS[session.state];
  return limit !== undefined && now - session.lastActivity >= limit;
}

/** Ends the current step. A step that is taken twice gets the time of both. */
function finishStep(
  session: GovernanceSession,
  now: number,
): Pick<GovernanceSession, 'completedSteps' | 'stepDurations'> {
  const { currentStep, completedSteps, stepDurations, stepStartedAt } = session;
  // A step may be named like an inherited property, such as `constructor`.
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
