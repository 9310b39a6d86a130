/** The Worker's variables and secrets that the local stack sets. wrangler.toml describes them. */
export const EDGE_VARIABLES = [
  'SITES',
  'SNAPSHOT_PUBLIC_KEYS',
  'SITE_DIRECTORY_KEYS',
  'FALLBACK_ORIGIN',
  'COOKIE_KEYS',
  'GATEWAY_JWT_KEY',
  'EDGE_TOKEN',
  'CLIENT_ADDRESS_FROM',
  'SIMULATE_CLIENTS',
  'SNAPSHOT_LANES',
  'LOG_SAMPLE',
  'TRACE_SAMPLE',
  'TRUST_TRACEPARENT',
  'MAX_HEADER_BYTES',
  'MAX_SLOW_UPLOADS',
  'FALLBACK_LIMIT',
] as const;
