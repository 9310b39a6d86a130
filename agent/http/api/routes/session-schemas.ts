import { z } from '@hono/zod-openapi';
import { MAX_DATA_BYTES, WORKFLOW_TYPES } from '../../../sessions/session.ts';

const callerData = z.record(z.string(), z.unknown());

/** Workflow data and metadata belong to the caller; the agent only limits their size. */
const payload = callerData.refine((value) => Buffer.byteLength(JSON.stringify(value)) <= MAX_DATA_BYTES, {
  error: `must be at most ${MAX_DATA_BYTES} bytes of JSON`,
});

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
