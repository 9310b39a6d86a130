import type { Config } from '../../shared/config/config.ts';
import { configInstances, type RenderInput } from '../haproxy/render/input.ts';

/** What HAProxy's files are rendered from, with the secrets of the environment as for the agent. */
export function haproxyInput(config: Config): RenderInput {
  const { HAPROXY_STATS_USER, HAPROXY_STATS_PASSWORD, EDGE_JWT_PUBLIC_KEYS, ENVIRONMENT } = process.env;
  return {
    config,
    instances: configInstances(config),
    production: ENVIRONMENT === 'production',
    secrets: {
      statsUser: HAPROXY_STATS_USER || 'admin',
      statsPassword: HAPROXY_STATS_PASSWORD || 'admin',
      edgePublicKeys: EDGE_JWT_PUBLIC_KEYS ?? '',
    },
  };
}
