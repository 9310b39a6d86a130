import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { GovernanceSession } from '../../agent/sessions/session.ts';

export type { GovernanceSession };

/** The session routes of the agent. Without Postgres only single sessions are available, as stale copies. */
export function registerFakeSessions(
  app: OpenAPIHono,
  { sessions, unavailable: down }: { sessions: GovernanceSession[]; unavailable: { postgres: boolean } },
): void {
  const unavailable = (context: Context) =>
    context.json({ title: 'Database unavailable', detail: 'sessions cannot be read now', status: 503 }, 503);
  app.get('/v1/sessions', (context) => {
    if (down.postgres) return unavailable(context);
    const state = context.req.query('state');
    return context.json({ sessions: sessions.filter((session) => !state || session.state === state) });
  });
  app.get('/v1/sessions/stats', (context) => {
    if (down.postgres) return unavailable(context);
    const byState = Object.fromEntries(
      [...Map.groupBy(sessions, ({ state }) => state)].map(([state, members]) => [state, members.length]),
    );
    return context.json({ total: sessions.length, byState, moves: 1 });
  });
  app.get('/v1/sessions/:id', (context) => {
    const id = context.req.param('id');
    const found = sessions.find((session) => session.id === id);
    if (!found) return context.json({ title: 'Not found', detail: `there is no session "${id}"` }, 404);
    return context.json(found, 200, down.postgres ? { 'x-acgs-stale': '1' } : {});
  });
}

export function makeSession(number: number, more: Partial<GovernanceSession> = {}): GovernanceSession {
  const at = Date.now() - number * 60_000;
  return {
    id: `019abc00-0000-7000-8000-${String(number).padStart(12, '0')}`,
    workflowType: 'policy_creation',
    userId: `user-${number}`,
    state: 'active',
    currentStep: 'review',
    completedSteps: ['initial'],
    stepDurations: { initial: 42 },
    stepStartedAt: at,
    data: {},
    metadata: {},
    pins: { gs: 'gs-1', pgc: 'pgc-2' },
    moves: [],
    createdAt: at - 60_000,
    lastActivity: at,
    totalDuration: null,
    reason: null,
    version: 2,
    ...more,
  };
}
