import { advanceBreaker, closedBreaker, recordCalls } from '../../shared/breaker.ts';
import {
  type AdminState,
  type Change,
  type Evidence,
  instanceKey,
  type ProbeResult,
  type TrafficDelta,
} from '../state.ts';
import { decide } from './decide.ts';
import { countFall, settleFlap } from './flap.ts';
import { judgeProbe } from './health.ts';
import {
  newRecord,
  noOutcome,
  type Outcome,
  type Policies,
  type Record,
  type Source,
  withSource,
} from './record.ts';

/** What an operator, or an instance speaking for itself, asks for. */
export type Command =
  | { kind: 'register'; source: Source; known: boolean; reason: string }
  | { kind: 'deregister'; service: string; instance: string; reason: string }
  | { kind: 'admin'; service: string; instance: string; admin: AdminState; deadline?: number; reason: string }
  | { kind: 'weight'; service: string; instance: string; weight: number; reason: string }
  | { kind: 'heartbeat'; service: string; instance: string };

/** `tick`: time passes: breakers half-open, slow starts end, drains and registrations run out. */
export type Event = Evidence | Command | { kind: 'tick' };

export type Book = ReadonlyMap<string, Record>;

/** The judgement: one event, held against what is known, at one instant. Pure; an unknown instance is no news. */
export function step(book: Book, event: Event, policies: Policies, now: number): Outcome {
  if (event.kind === 'tick') return tick(book, policies, now);
  if (event.kind === 'register') return register(book, event, policies, now);
  const key = instanceKey(event.service, event.instance);
  const before = book.get(key);
  if (!before) return noOutcome();
  if (event.kind === 'deregister') {
    return {
      ...noOutcome(),
      removed: [key],
      changes: [news(before, 'deregistered', now, event.reason)],
    };
  }
  return settle(
    before,
    applied(before, event, policies, now),
    policies,
    now,
    'reason' in event ? event.reason : undefined,
  );
}

function register(
  book: Book,
  event: Extract<Event, { kind: 'register' }>,
  policies: Policies,
  now: number,
): Outcome {
  const { source, known, reason } = event;
  const before = book.get(instanceKey(source.service, source.id));
  if (before) return settle(before, withSource(before, source, now), policies, now, reason);
  const record = newRecord(source, known, now);
  return { records: [record], removed: [], changes: [news(record, 'registered', now, reason)] };
}

function applied(
  record: Record,
  event: Exclude<Event, { kind: 'tick' | 'register' | 'deregister' }>,
  policies: Policies,
  now: number,
): Record {
  switch (event.kind) {
    case 'probe':
      return afterProbe(record, event, policies);
    case 'traffic':
      return afterTraffic(record, event, policies, now);
    case 'admin': {
      const { drainDeadline: _, ...rest } = record.instance;
      const deadline = event.deadline === undefined ? {} : { drainDeadline: event.deadline };
      return { ...record, instance: { ...rest, admin: event.admin, ...deadline } };
    }
    case 'weight':
      return { ...record, instance: { ...record.instance, weight: event.weight } };
    case 'heartbeat':
      return record.source.ttl === undefined
        ? record
        : { ...record, instance: { ...record.instance, expiresAt: now + record.source.ttl } };
  }
}

function afterProbe(record: Record, probe: ProbeResult, policies: Policies): Record {
  const policy = policies[probe.service];
  if (!policy) return record;
  const tally = judgeProbe(record.tally, probe, policy.health);
  if (tally === record.tally) return record;
  const silent = probe.at - record.measuredAt > TRAFFIC_SPEAKS_MS;
  const latencyMs =
    probe.ok && silent ? blend(record.instance.latencyMs, probe.latencyMs) : record.instance.latencyMs;
  const instance = { ...record.instance, lastProbe: probe, latencyMs };
  const next = { ...record, tally, instance };
  if (tally.health === record.tally.health) return next;
  if (tally.health === 'down') {
    return {
      ...next,
      provedAt: null,
      flap: record.tally.health === 'up' ? countFall(record.flap, probe.at) : record.flap,
    };
  }
  // A rise begins a new life: what the breaker holds against the old one says nothing about it.
  const fresh = record.known && record.tally.health === 'unknown';
  return { ...next, breaker: closedBreaker(), provedAt: fresh ? null : probe.at, known: false };
}

function afterTraffic(record: Record, delta: TrafficDelta, policies: Policies, now: number): Record {
  const policy = policies[delta.service];
  if (!policy) return record;
  const counts = { calls: delta.success + delta.failure, failures: delta.failure, slow: delta.slow };
  const { latencyMs, inflight, queued } = record.instance;
  const mean = delta.latency?.count ? delta.latency.sum / delta.latency.count : null;
  return {
    ...record,
    breaker: recordCalls(record.breaker, counts, policy.breaker, now),
    measuredAt: mean === null ? record.measuredAt : now,
    instance: {
      ...record.instance,
      latencyMs: mean === null ? latencyMs : blend(latencyMs, mean),
      inflight: delta.inflight ?? inflight,
      queued: delta.queued ?? queued,
    },
  };
}

/** After this long without a request, probes tell the latency again. */
const TRAFFIC_SPEAKS_MS = 60_000;
/** How much one new sample moves the mean. */
const LATENCY_SHARE = 0.2;

/** To a tenth of a millisecond: more digits would only lengthen the snapshot. */
const blend = (mean: number | null, sample: number): number =>
  Math.round((mean === null ? sample : mean + (sample - mean) * LATENCY_SHARE) * 10) / 10;

function tick(book: Book, policies: Policies, now: number): Outcome {
  const outcome = noOutcome();
  for (const [key, record] of book) {
    if (!waitsForTime(record)) continue;
    const { expiresAt, drainDeadline, admin } = record.instance;
    if (expiresAt !== undefined && now >= expiresAt) {
      outcome.removed.push(key);
      outcome.changes.push(news(record, 'deregistered', now, 'registration ran out: no heartbeat in time'));
      continue;
    }
    let next = record;
    let reason: string | undefined;
    if (admin === 'drain' && drainDeadline !== undefined && now >= drainDeadline) {
      const { drainDeadline: _, ...rest } = record.instance;
      next = { ...record, instance: { ...rest, admin: 'maint' } };
      reason = 'drain deadline reached';
    }
    const settled = settle(record, next, policies, now, reason);
    outcome.records.push(...settled.records);
    outcome.changes.push(...settled.changes);
  }
  return outcome;
}

/** Whether time alone can change this record: most of thousands need no look at every tick. */
const waitsForTime = ({ instance, breaker, flap }: Record): boolean =>
  instance.state === 'probation' ||
  breaker.state === 'open' ||
  flap.heldSince !== null ||
  instance.drainDeadline !== undefined ||
  instance.expiresAt !== undefined;

/** Lets time act, decides the state, and tells what became different. Nothing different: an empty outcome. */
function settle(before: Record, changed: Record, policies: Policies, now: number, reason?: string): Outcome {
  const breaker = advanceBreaker(changed.breaker, now);
  const flap = settleFlap(changed.flap, now);
  const moved =
    breaker === changed.breaker && flap === changed.flap ? changed : { ...changed, breaker, flap };
  const verdict = decide(moved, policies[moved.instance.service]?.slowStart ?? 0, now);
  const old = before.instance;
  const same = verdict.state === old.state && verdict.reason === old.reason;
  if (moved === before && same) return noOutcome();

  const instance = {
    ...moved.instance,
    ...verdict,
    since: verdict.state === old.state ? old.since : now,
    ...(old.state === 'down' && verdict.state !== 'down' ? { servingSince: now } : {}),
    health: moved.tally.health,
    breaker: breaker.state,
  };
  const record = { ...moved, instance };
  const changes: Change[] = [];
  if (instance.admin !== old.admin)
    changes.push(news(record, 'admin', now, reason ?? verdict.reason, old.admin, instance.admin));
  if (instance.weight !== old.weight) {
    changes.push(
      news(record, 'weight', now, reason ?? 'weight changed', String(old.weight), String(instance.weight)),
    );
  }
  if (instance.health !== old.health) {
    changes.push(news(record, 'health', now, moved.tally.because, old.health, instance.health));
  }
  if (instance.breaker !== old.breaker) {
    changes.push(news(record, 'breaker', now, breakerWords(record), old.breaker, instance.breaker));
  }
  if (instance.state !== old.state)
    changes.push(news(record, 'state', now, verdict.reason, old.state, instance.state));
  return { records: [record], removed: [], changes };
}

function breakerWords({ breaker }: Record): string {
  if (breaker.state === 'open') return breaker.why;
  return breaker.state === 'half_open' ? 'open time is over: a few calls on trial' : 'trial calls went well';
}

function news(
  record: Record,
  kind: Change['kind'],
  at: number,
  reason: string,
  from?: string,
  to?: string,
): Change {
  const { service, id } = record.instance;
  return {
    at,
    service,
    instance: id,
    kind,
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    reason,
  };
}
