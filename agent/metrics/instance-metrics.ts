import type { Update } from '../core/sink.ts';
import { type Instance, instanceKey } from '../core/state.ts';
import { quoted } from './sketch-histogram.ts';

const STATES = ['up', 'probation', 'draining', 'down'] as const;
const ADMIN = ['ready', 'drain', 'maint'] as const;
const BREAKER = { closed: 0, half_open: 0.5, open: 1 } as const;

/** The labels after `service` and `server`, and the value. */
type MetricSample = readonly [labels: string, value: number];

interface InstanceMetric {
  name: string;
  type: 'gauge' | 'counter';
  help: string;
  samples(instance: Instance, counts: InstanceCounts): readonly MetricSample[];
}

/** All counters start at zero: one that appears with its first failure has no rate for that failure. */
interface InstanceCounts {
  success: number;
  failure: number;
  probesPassed: number;
  probesFailed: number;
}

const one = (value: number): readonly MetricSample[] => [['', value]];

const METRICS: readonly InstanceMetric[] = [
  {
    name: 'acgs_load_balancer_requests_total',
    type: 'counter',
    help: 'Attempts answered, by instance and outcome. A request may need several attempts.',
    samples: (_, { success, failure }) => [
      [',status="success"', success],
      [',status="failure"', failure],
    ],
  },
  {
    name: 'acgs_circuit_breaker_status',
    type: 'gauge',
    help: 'Circuit breaker: 0 closed, 0.5 half open, 1 open.',
    samples: ({ breaker }) => one(BREAKER[breaker]),
  },
  {
    name: 'acgs_backend_server_health',
    type: 'gauge',
    help: 'Active probes: 1 healthy, 0 not.',
    samples: ({ health }) => one(health === 'up' ? 1 : 0),
  },
  {
    name: 'acgs_instance_state',
    type: 'gauge',
    help: 'State of the instance: 1 for the current state, 0 for the others.',
    samples: ({ state }) => STATES.map((each) => [`,state="${each}"`, state === each ? 1 : 0]),
  },
  {
    name: 'acgs_instance_admin',
    type: 'gauge',
    help: 'State set by the operator: 1 for the current state, 0 for the others.',
    samples: ({ admin }) => ADMIN.map((each) => [`,admin="${each}"`, admin === each ? 1 : 0]),
  },
  {
    name: 'acgs_instance_inflight',
    type: 'gauge',
    help: 'Requests in flight.',
    samples: ({ inflight }) => one(inflight),
  },
  {
    name: 'acgs_instance_queued',
    type: 'gauge',
    help: 'Requests waiting for a connection.',
    samples: ({ queued }) => one(queued),
  },
  {
    name: 'acgs_instance_weight',
    type: 'gauge',
    help: 'Configured weight.',
    samples: ({ weight }) => one(weight),
  },
  {
    name: 'acgs_instance_share',
    type: 'gauge',
    help: 'Share of its weight that the instance gets; below 1 for an outlier.',
    samples: ({ outlier, latencyShare = 1 }) => one(Math.min(outlier?.share ?? 1, latencyShare)),
  },
  {
    name: 'acgs_probes_total',
    type: 'counter',
    help: 'Active probes, by result.',
    samples: (_, { probesPassed, probesFailed }) => [
      [',result="ok"', probesPassed],
      [',result="failed"', probesFailed],
    ],
  },
];

export interface InstanceMetrics {
  /** Drops the counts of deregistered instances. Their last value would look like a failed instance. */
  accept(instances: Update['instances']): void;
  addAttempts(key: string, counts: { success: number; failure: number }): void;
  probe(key: string, ok: boolean): void;
  /** In Prometheus' text format, in parts that take less than a millisecond each. */
  parts(): Iterable<string>;
}

const PART_INSTANCES = 250;

/**
 * The metrics with one series per instance. Only the counters are kept; the gauges are written from the instances when
 * Prometheus asks. prom-client would keep an object for each of some twenty series of every instance.
 */
export function createInstanceMetrics(): InstanceMetrics {
  let instances: Update['instances'] = new Map();
  const counts = new Map<string, InstanceCounts>();
  const countsOf = (key: string): InstanceCounts => {
    const found = counts.get(key);
    if (found) return found;
    const created = { success: 0, failure: 0, probesPassed: 0, probesFailed: 0 };
    counts.set(key, created);
    return created;
  };
  return {
    accept(current) {
      instances = current;
      for (const key of counts.keys()) if (!current.has(key)) counts.delete(key);
    },
    addAttempts(key, { success, failure }) {
      const own = countsOf(key);
      own.success += success;
      own.failure += failure;
    },
    probe(key, ok) {
      const own = countsOf(key);
      if (ok) own.probesPassed += 1;
      else own.probesFailed += 1;
    },
    *parts() {
      const all = [...instances.values()];
      for (const { name, type, help, samples } of METRICS) {
        yield `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
        for (let start = 0; start < all.length; start += PART_INSTANCES) {
          const lines = all.slice(start, start + PART_INSTANCES).map((instance) => {
            const { service, id } = instance;
            const labels = `${name}{service=${quoted(service)},server=${quoted(id)}`;
            return samples(instance, countsOf(instanceKey(service, id)))
              .map(([more, value]) => `${labels}${more}} ${value}\n`)
              .join('');
          });
          yield lines.join('');
        }
      }
    },
  };
}
