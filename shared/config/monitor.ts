import { z } from 'zod';
import { duration, positiveInt } from './scalars.ts';

export const SEVERITIES = ['warning', 'critical', 'emergency'] as const;

const thresholds = (title: string, warning: number, critical: number, emergency: number) =>
  z
    .strictObject({
      warning: z.number().default(warning).meta({ title }),
      critical: z.number().default(critical).meta({ title }),
      emergency: z.number().default(emergency).meta({ title }),
    })
    .prefault({});

/** Thresholds default to the guide's. They rise with severity; those of availability fall. */
export const monitorSection = z.strictObject({
  interval: duration.default(30_000).meta({ title: 'Time between two evaluations' }),
  window: duration.default(300_000).meta({ title: 'Time window that the rules evaluate' }),
  minimumSamples: positiveInt
    .default(10)
    .meta({ title: 'Minimum samples in the window; a rule with fewer is not evaluated' }),
  thresholds: z
    .strictObject({
      p95Ms: thresholds('95th percentile of response times above this, milliseconds', 400, 500, 1000),
      availabilityPercent: thresholds('Availability below this, percent', 99.9, 99, 95),
      errorPercent: thresholds('Error rate above this, percent', 1, 5, 10),
      users: thresholds(
        'Average number of requests in flight or queued at the site above this',
        800,
        1000,
        1200,
      ),
      cpuPercent: thresholds('CPU usage of the host above this, percent', 70, 85, 95),
      memoryPercent: thresholds('Memory usage of the host above this, percent', 70, 85, 95),
    })
    .prefault({}),
});
