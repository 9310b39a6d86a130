import { z } from 'zod';
import { SESSION_STATES, WORKFLOW_TYPES } from '../../sessions/session.ts';
import { count, timestamp } from './scalars.ts';

const callerData = z.record(z.string(), z.unknown());

export const sessionSchema = z
  .object({
    id: z.string(),
    workflowType: z.enum(WORKFLOW_TYPES),
    userId: z.string(),
    state: z.enum(SESSION_STATES),
    currentStep: z.string(),
    completedSteps: z.array(z.string()),
    stepDurations: z
      .record(z.string(), z.number())
      .meta({ description: 'duration of each completed step, seconds' }),
    stepStartedAt: timestamp,
    data: callerData,
    metadata: callerData,
    pins: z.record(z.string(), z.string()).meta({ description: 'service → instance' }),
    moves: z.array(
      z.object({
        at: timestamp,
        service: z.string(),
        from: z.string(),
        to: z.string(),
        reason: z.string(),
      }),
    ),
    createdAt: timestamp,
    lastActivity: timestamp,
    totalDuration: z.number().nullable().meta({ description: 'seconds' }),
    reason: z.string().nullable(),
    version: z.number(),
  })
  .meta({ id: 'Session' });

export const sessionListSchema = z.object({ sessions: z.array(sessionSchema) });

export const sessionStatsSchema = z.object({
  total: count,
  byState: z.record(z.string(), count),
  byWorkflow: z.record(z.string(), count).meta({ description: 'active and suspended sessions' }),
  averageAge: z.number().nullable().meta({ description: 'open sessions, seconds' }),
  averageDuration: z.number().nullable().meta({ description: 'completed sessions, seconds' }),
  moves: count.meta({ description: 'sessions moved to another instance' }),
});

export type ApiSession = z.output<typeof sessionSchema>;
