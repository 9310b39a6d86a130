import { z } from '@hono/zod-openapi';
import { MAX_DATA_BYTES, SESSION_STATES, WORKFLOW_TYPES } from '../../../sessions/session.ts';

const instant = z.number().openapi({ description: 'epoch milliseconds', example: 1_764_000_000_000 });
const anything = z.record(z.string(), z.unknown());

/** Workflow data and metadata are the caller's own; they are kept, not looked into. */
const payload = anything.refine((value) => Buffer.byteLength(JSON.stringify(value)) <= MAX_DATA_BYTES, {
  error: `at most ${MAX_DATA_BYTES} bytes of JSON`,
});

export const sessionSchema = z
  .object({
    id: z.string(),
    workflowType: z.enum(WORKFLOW_TYPES),
    userId: z.string(),
    state: z.enum(SESSION_STATES),
    currentStep: z.string(),
    completedSteps: z.array(z.string()),
    stepDurations: z.record(z.string(), z.number()).openapi({ description: 'seconds each step took' }),
    stepStartedAt: instant,
    data: anything,
    metadata: anything,
    pins: z.record(z.string(), z.string()).openapi({ description: 'service → instance' }),
    moves: z.array(
      z.object({ at: instant, service: z.string(), from: z.string(), to: z.string(), reason: z.string() }),
    ),
    createdAt: instant,
    lastActivity: instant,
    totalDuration: z.number().nullable().openapi({ description: 'seconds' }),
    reason: z.string().nullable(),
    version: z.number(),
  })
  .openapi('Session');

export const createBody = z.strictObject({
  workflowType: z.enum(WORKFLOW_TYPES),
  userId: z.string().min(1).max(200),
  metadata: payload.default({}),
});

const version = z.int().min(1);
const reason = z.string().max(1000).optional();

export const advanceBody = z.strictObject({
  step: z.string().min(1).max(200),
  version,
  data: payload.optional(),
});
export const completeBody = z.strictObject({ version: version.optional(), data: payload.optional() });
export const resumeBody = z.strictObject({ version: version.optional() });
export const reasonBody = z.strictObject({ version: version.optional(), reason });
export const pinBody = z.strictObject({ instance: z.string().min(1) });

export const statsSchema = z.object({
  total: z.number(),
  byState: z.record(z.string(), z.number()),
  byWorkflow: z.record(z.string(), z.number()).openapi({ description: 'active and suspended sessions' }),
  averageAge: z.number().nullable().openapi({ description: 'of open sessions, seconds' }),
  averageDuration: z.number().nullable().openapi({ description: 'of completed sessions, seconds' }),
  moves: z.number().openapi({ description: 'pins that changed hands' }),
});
