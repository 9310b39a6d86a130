import { z } from 'zod';
import { requestHeaders } from './request-headers.ts';
import { httpUrl, percentage } from './scalars.ts';

/** Traces of single requests (W3C trace context) and their export (OpenTelemetry). */
export const telemetrySection = z.strictObject({
  trustClients: z.boolean().default(true).meta({
    title: 'Continue the traces of clients that reach the gateway without the edge, by their traceparent',
  }),
  sample: percentage.default(0.01).meta({
    title: 'Share of the traces started at the gateway that are sampled; the instances see the decision',
  }),
  otlp: z
    .strictObject({
      url: httpUrl.meta({
        title: 'Where spans are sent with OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces',
      }),
      headers: requestHeaders,
    })
    .optional()
    .meta({ title: 'Export of spans; absent: none' }),
});
