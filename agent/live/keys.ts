/** TTLs of the keys in Redis. Redis never holds the only copy of anything. */
export const TTL_SECONDS = {
  instances: 300,
  health: 60,
  metrics: 600,
  breaker: 600,
  pin: 3600,
  session: 3600,
} as const;

/** The names of the site's keys and of its channel. Each contains the site, so that sites can share one Redis. */
export const liveKeys = (site: string) => ({
  instances: (service: string) => `lb:instances:${site}:${service}`,
  health: (service: string, instance: string) => `lb:health:${site}:${service}:${instance}`,
  metrics: (service: string, instance: string) => `lb:metrics:${site}:${service}:${instance}`,
  breaker: (service: string, instance: string) => `lb:breaker:${site}:${service}:${instance}`,
  /** The instance that a session is pinned to. */
  pin: (session: string, service: string) => `lb:session:${site}:${session}:${service}`,
  session: (id: string) => `governance_session:${site}:${id}`,
  leader: `lb:leader:${site}`,
  /** A hash with all intents, shared by the agents of the site. */
  intents: `lb:intents:${site}`,
  /** The channel of changes and of messages between the agents of a site. */
  events: `lb:events:${site}`,
});

export type LiveKeys = ReturnType<typeof liveKeys>;
