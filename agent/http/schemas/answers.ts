/**
 * The agent's answers. The API builds them and /v1/openapi.json from these schemas, the command parses answers with them, and
 * the dashboard takes its types from them.
 */
export * from './alerts.ts';
export * from './control.ts';
export * from './events.ts';
export * from './history.ts';
export * from './instances.ts';
export * from './sessions.ts';
export * from './status.ts';
export * from './trace.ts';
