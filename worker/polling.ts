/** How often the edge asks for snapshots. `dev/costs.ts` computes the bill from these. */

/** All isolates of a Cloudflare location together ask the Hub of a site once in this time. */
export const COLO_FRESH_MS = 2_000;

/** An isolate reads KV once in this time, beside the Hub. */
export const KV_INTERVAL_MS = 30_000;
