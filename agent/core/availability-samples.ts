import { type Instance, instanceKey } from './state.ts';

/** Instances whose samples are taken in one step. */
const STEP_INSTANCES = 250;

export interface AvailabilitySample {
  up: boolean;
  /** Only in samples of an instance, like `outlier`. */
  breakerOpen?: boolean;
  outlier?: boolean;
  concurrency: number;
  queued: number;
}

/** Takes a sample of every instance (by its key), every service and the site, in small steps. */
export function* takeSamples(
  instances: Iterable<readonly [string, Instance]>,
  add: (key: string, sample: AvailabilitySample) => void,
): Generator<void, void> {
  const services = new Map<string, AvailabilitySample>();
  let count = 0;
  for (const [key, instance] of instances) {
    // No probe has judged it yet: the start of an agent is not an outage.
    if (instance.health === 'unknown') continue;
    const sample = sampleOf(instance);
    add(key, sample);
    addToService(services, instanceKey(instance.service, ''), sample);
    if (++count % STEP_INSTANCES === 0) yield;
  }
  if (services.size === 0) return;
  for (const [key, sample] of services) add(key, sample);
  add(instanceKey('', ''), siteSample([...services.values()]));
}

const sampleOf = ({ state, inflight, queued, breaker, outlier }: Instance): AvailabilitySample => ({
  up: state !== 'down',
  concurrency: inflight + queued,
  queued,
  breakerOpen: breaker !== 'closed',
  outlier: outlier !== undefined,
});

/** A service can take traffic while one of its instances can. */
function addToService(services: Map<string, AvailabilitySample>, key: string, own: AvailabilitySample): void {
  const sum = services.get(key);
  services.set(key, {
    up: own.up || (sum?.up ?? false),
    concurrency: own.concurrency + (sum?.concurrency ?? 0),
    queued: own.queued + (sum?.queued ?? 0),
  });
}

/** The site is available while all its services are. */
const siteSample = (services: readonly AvailabilitySample[]): AvailabilitySample => ({
  up: services.every(({ up }) => up),
  concurrency: services.reduce((sum, { concurrency }) => sum + concurrency, 0),
  queued: services.reduce((sum, { queued }) => sum + queued, 0),
});
