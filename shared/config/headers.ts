import { z } from 'zod';

/** The `headers` section: header fields that edge and gateway add. A field that is off costs nothing. */
export const headersSection = z.strictObject({
  security: z.boolean().default(true).meta({
    title:
      'Add X-Content-Type-Options, and X-Frame-Options, Referrer-Policy and (over HTTPS) Strict-Transport-Security where the instance set none',
  }),
  rateLimit: z
    .boolean()
    .default(true)
    .meta({ title: 'Add RateLimit and RateLimit-Policy to every response; a 429 always has them' }),
  via: z.boolean().default(true).meta({ title: 'Add Via to requests, as RFC 9110 requires of a gateway' }),
  forwarded: z
    .boolean()
    .default(false)
    .meta({ title: 'Add Forwarded (RFC 7239) to requests, beside the X-Forwarded fields' }),
  serverTiming: z.boolean().default(false).meta({
    title: 'Add Server-Timing to responses: time in the edge, time behind it, and the number of copies sent',
  }),
});
