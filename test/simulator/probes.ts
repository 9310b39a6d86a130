import { type Instance, instanceKey, type ProbeResult } from '../../agent/core/state.ts';
import type { InstanceRecord } from '../../agent/judge/instance-record.ts';
import { type ProbeInterval, probeIntervalFor, probeIntervalMs } from '../../agent/probes/interval.ts';
import { addPassTime, lateAfterMs } from '../../agent/probes/lateness.ts';
import type { HealthCheck } from '../../shared/config/config.ts';
import { cancel, type Random, type Timer, type VirtualClock } from './clock.ts';
import type { ReplyKind, SimulatedInstance } from './instance.ts';

interface Target {
  readonly instance: SimulatedInstance;
  pace: ProbeInterval;
  timer: Timer | undefined;
  running: number;
  passTimes: readonly number[];
  lastHint: number;
}

interface ProbeScheduleOptions {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly service: { readonly id: string };
  readonly check: HealthCheck;
  readonly instances: readonly SimulatedInstance[];
  /** Epoch milliseconds by the agent's clock. */
  readonly wallClock: () => number;
  readonly onResult: (result: ProbeResult) => void;
}

const MAX_CONCURRENT = 8;
const JITTER = 0.05;
const MIN_HINT_GAP_MS = 100;

/** The rules of agent/probes/scheduler.ts under the virtual clock. */
export class ProbeSchedule {
  readonly #options: ProbeScheduleOptions;
  readonly #targets = new Map<string, Target>();

  constructor(options: ProbeScheduleOptions) {
    this.#options = options;
    const { clock, service, instances } = options;
    for (const [index, instance] of instances.entries()) {
      const target: Target = {
        instance,
        pace: 'fast',
        timer: undefined,
        running: 0,
        passTimes: [],
        lastHint: -1e9,
      };
      this.#targets.set(instanceKey(service.id, instance.id), target);
      target.timer = clock.after((index * options.check.fastInterval) / instances.length, () =>
        this.#fire(target),
      );
    }
  }

  setPace(record: InstanceRecord, now: number): void {
    const { service, id } = record.instance satisfies Instance;
    const target = this.#targets.get(instanceKey(service, id));
    const pace = probeIntervalFor(record, now);
    if (!target || target.pace === pace) return;
    target.pace = pace;
    cancel(target.timer);
    target.timer = this.#options.clock.after(pace === 'urgent' ? 0 : this.#gap(pace), () =>
      this.#fire(target),
    );
  }

  probeNow(id: string): void {
    const target = this.#targets.get(instanceKey(this.#options.service.id, id));
    const { now } = this.#options.clock;
    if (!target || now - target.lastHint < MIN_HINT_GAP_MS) return;
    target.lastHint = now;
    cancel(target.timer);
    this.#fire(target);
  }

  #gap(pace: ProbeInterval): number {
    const { random, check } = this.#options;
    return probeIntervalMs(pace, check) * (1 + (random.next() * 2 - 1) * JITTER);
  }

  #fire(target: Target): void {
    target.timer = this.#options.clock.after(this.#gap(target.pace), () => this.#fire(target));
    if (target.running < MAX_CONCURRENT) this.#probe(target);
  }

  #probe(target: Target): void {
    const { clock, check } = this.#options;
    const startedAt = clock.now;
    target.running++;
    let forget = (): void => undefined;
    const end = (kind: ReplyKind | 'timeout'): void => {
      cancel(lateTimer);
      cancel(timeout);
      forget();
      target.running--;
      const latencyMs = clock.now - startedAt;
      const ok = kind === 'ok';
      if (ok) target.passTimes = addPassTime(target.passTimes, latencyMs);
      this.#report(target, { ok, latencyMs, ...(!ok && { error: errorText(kind, target) }) });
    };
    const lateMs = lateAfterMs(target.passTimes, check.timeout);
    const lateTimer =
      lateMs === null
        ? undefined
        : clock.after(lateMs, () => {
            const error = `no answer within ${Math.round(lateMs)} ms`;
            this.#report(target, { ok: false, early: true, latencyMs: lateMs, error });
          });
    const timeout = clock.after(check.timeout, () => end('timeout'));
    forget = target.instance.probe(end);
  }

  #report(target: Target, result: Pick<ProbeResult, 'ok' | 'early' | 'latencyMs' | 'error'>): void {
    const { service, wallClock, onResult } = this.#options;
    onResult({
      kind: 'probe',
      service: service.id,
      instance: target.instance.id,
      at: wallClock(),
      ...result,
    });
  }
}

function errorText(kind: ReplyKind | 'timeout', { instance }: Target): string {
  if (kind === 'refused') return `connect refused ${instance.id}`;
  return kind === 'timeout' ? 'no answer within the timeout' : 'connection closed';
}
