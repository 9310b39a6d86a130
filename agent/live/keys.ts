/** TTLs of the keys in Redis. Redis never holds the only copy of anything. */
export const TTL_SECONDS = {
  instances: 300,
  health: 60,
  metrics: 600,
  breaker: 600,
  pin: 3600,
  session: 3600,
} as const;

export const EVENTS_CHANNEL = 'lb:events';

export const liveKeys = {
  instances: (service: string) => `lb:instances:${service}`,
  health: (service: string, instance: string) => `lb:health:${service}:${instance}`,
  metrics: (service: string, instance: string) => `lb:metrics:${service}:${instance}`,
  breaker: (service: string, instance: string) => `lb:breaker:${service}:${instance}`,
  /** The instance that a session is pinned to. */
  pin: (session: string, service: string) => `lb:session:${session}:${service}`,
  session: (id: string) => `governance_session:${id}`,
  leader: (site: string) => `lb:leader:${site}`,
  /** A hash of operators' orders and run-time registrations, shared by the agents of a site. */
  intents: (site: string) => `lb:intents:${site}`,
} as const;
