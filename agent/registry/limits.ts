/** The rules for what a client registers. They hold for the API and for everything read from a file or from Redis. */
export const WEIGHT = { min: 1, max: 256 } as const;
export const PRIORITY = { min: 1, max: 16 } as const;
export const MAX_MAXCONN = 1_000_000;
export const TTL_MS = { min: 1_000, max: 30 * 86_400_000 } as const;
export const METADATA_LENGTH = { name: 128, value: 1_024 } as const;
