import type { GovernanceSession, PinMove, SessionState, WorkflowType } from './session.ts';

/** A session with the column names of `governance_sessions`; instants in epoch seconds. The copy in Redis is built on it. */
export interface SessionRow {
  id: string;
  workflow_type: WorkflowType;
  user_id: string;
  state: SessionState;
  current_step: string;
  completed_steps: string[];
  step_durations: Record<string, number>;
  step_started_at: number;
  workflow_data: Record<string, unknown>;
  metadata: Record<string, unknown>;
  pins: Record<string, string>;
  moves: PinMove[];
  created_at: number;
  last_activity: number;
  total_duration: number | null;
  reason: string | null;
  version: number;
}

export const toRow = (session: GovernanceSession): SessionRow => ({
  id: session.id,
  workflow_type: session.workflowType,
  user_id: session.userId,
  state: session.state,
  current_step: session.currentStep,
  completed_steps: session.completedSteps,
  step_durations: session.stepDurations,
  step_started_at: session.stepStartedAt / 1000,
  workflow_data: session.data,
  metadata: session.metadata,
  pins: session.pins,
  moves: session.moves,
  created_at: session.createdAt / 1000,
  last_activity: session.lastActivity / 1000,
  total_duration: session.totalDuration,
  reason: session.reason,
  version: session.version,
});

const toMs = (seconds: number): number => Math.round(seconds * 1000);

export const fromRow = (row: SessionRow): GovernanceSession => ({
  id: row.id,
  workflowType: row.workflow_type,
  userId: row.user_id,
  state: row.state,
  currentStep: row.current_step,
  completedSteps: row.completed_steps,
  stepDurations: row.step_durations,
  stepStartedAt: toMs(row.step_started_at),
  data: row.workflow_data,
  metadata: row.metadata,
  pins: row.pins,
  moves: row.moves,
  createdAt: toMs(row.created_at),
  lastActivity: toMs(row.last_activity),
  totalDuration: row.total_duration,
  reason: row.reason,
  version: row.version,
});
