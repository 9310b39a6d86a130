import { setTimeout as sleep } from 'node:timers/promises';
import type { Bed } from '../bed.ts';
import {
  insideVictim,
  killVictim,
  type MatrixFault,
  restartVictim,
  type Victim,
  victimReported,
} from '../matrix-fault.ts';

const signalVictim = (bed: Bed, { service, index }: Victim, signal: NodeJS.Signals): void =>
  bed.fleet(service).signal(index, signal);

/** Every instance of the victim's service, or every one but the last. */
const instancesOf = (bed: Bed, { service }: Victim, leave = 0): number[] =>
  [...bed.fleet(service).instances.keys()].slice(leave);

const SENT_POST =
  'A POST without an `Idempotency-Key` that an instance may have received is never sent twice, so it fails with the instance.';

export const INSTANCE_FAULTS: readonly MatrixFault[] = [
  {
    name: 'instance-killed',
    area: 'instance',
    title: '`kill -9`',
    strikes: 'victim',
    start: killVictim,
    stop: restartVictim,
    detected: victimReported,
    allowed: { other: 5 },
    reason: SENT_POST,
  },
  {
    name: 'instance-hung',
    area: 'instance',
    title: 'hung (SIGSTOP)',
    strikes: 'victim',
    start: (bed, victim) => signalVictim(bed, victim, 'SIGSTOP'),
    stop: (bed, victim) => signalVictim(bed, victim, 'SIGCONT'),
    detected: victimReported,
    allowed: { other: 10 },
    reason: SENT_POST,
  },
  insideVictim('instance-slow', '800 ms slower', { delayMs: 800 }),
  insideVictim(
    'instance-stalling',
    '10 % of requests stall for 12 s',
    { stallShare: 0.1, stallMs: 12_000 },
    {
      forMs: 30_000,
      allowed: { repeatable: 20, other: 20 },
      reason:
        'A POST, and a request of a session, waits for its instance. The clients give up after 10 s, before `timeout` (30 s), and only then the stall shows in the log.',
    },
  ),
  insideVictim(
    'instance-body-stalling',
    '20 % of answers stop in mid-body for 12 s',
    { bodyStallShare: 0.2, stallMs: 12_000 },
    {
      forMs: 30_000,
      allowed: { repeatable: 60, other: 30 },
      reason:
        'The status and a part of the body have been passed on. Clients give up after 10 s, and only then the stall shows in the log.',
    },
  ),
  insideVictim(
    'instance-resetting',
    'resets 30 % of its connections',
    { resetShare: 0.3 },
    {
      allowed: { other: 15 },
      reason: SENT_POST,
    },
  ),
  insideVictim(
    'instance-errors',
    'answers 50 % with 500',
    { errorShare: 0.5 },
    {
      allowed: { repeatable: 40, other: 20 },
      reason:
        'A 500 is the answer of the application and is passed on, until the comparison with its peers takes the instance out.',
    },
  ),
  insideVictim(
    'instance-closing-idle',
    'closes each connection 20 ms after an answer, without announcing it',
    { closeAfterMs: 20 },
    {
      allowed: { other: 20 },
      reason: SENT_POST,
    },
  ),
  insideVictim(
    'instance-refusing',
    'refuses connections',
    { refuse: true },
    {
      allowed: { other: 5 },
      reason: SENT_POST,
    },
  ),
  insideVictim(
    'instance-slow-accept',
    'accepts each connection after 2 s',
    { acceptDelayMs: 2_000 },
    {
      allowed: { other: 5 },
      reason: SENT_POST,
    },
  ),
  insideVictim(
    'instance-truncating',
    'truncates 30 % of its answers',
    { truncateShare: 0.3 },
    {
      allowed: { repeatable: 30, other: 15 },
      reason: 'The status and a part of the body have been passed on before the connection breaks.',
    },
  ),
  {
    name: 'instance-black-hole',
    area: 'instance',
    title: 'packets to its host are lost',
    bed: 'faulty-host',
    strikes: 'victim',
    start: ({ faultyHost }) => faultyHost?.drop(),
    stop: ({ faultyHost }) => faultyHost?.restore(),
    detected: victimReported,
    allowed: { other: 10 },
    reason: SENT_POST,
  },
  {
    name: 'instance-flapping',
    area: 'instance',
    title: 'hung for 1 s, healthy for 1 s, four times',
    strikes: 'victim',
    forMs: 0,
    async start(bed, victim) {
      for (let times = 0; times < 4; times++) {
        signalVictim(bed, victim, 'SIGSTOP');
        await sleep(1_000);
        signalVictim(bed, victim, 'SIGCONT');
        await sleep(1_000);
      }
    },
    stop: () => {},
    detected: victimReported,
  },
  {
    name: 'instances-two-killed',
    area: 'instance',
    title: 'two of three killed at once',
    strikes: 'victim-service',
    start: (bed, victim) => {
      for (const index of instancesOf(bed, victim, 1)) bed.fleet(victim.service).signal(index, 'SIGKILL');
    },
    async stop(bed, victim) {
      for (const index of instancesOf(bed, victim, 1)) await bed.fleet(victim.service).restart(index);
    },
    allowed: { other: 10 },
    reason: SENT_POST,
  },
  {
    name: 'instances-two-hung',
    area: 'instance',
    title: 'two of three hung at once',
    strikes: 'victim-service',
    start: (bed, victim) => {
      for (const index of instancesOf(bed, victim, 1)) bed.fleet(victim.service).signal(index, 'SIGSTOP');
    },
    stop: (bed, victim) => {
      for (const index of instancesOf(bed, victim, 1)) bed.fleet(victim.service).signal(index, 'SIGCONT');
    },
    allowed: { repeatable: 5, other: 20 },
    reason: `${SENT_POST} The hedges of a late GET may reach the other hung instance.`,
  },
  {
    name: 'instances-all-killed',
    area: 'instance',
    title: 'every instance of one service killed',
    strikes: 'victim-service',
    start: (bed, victim) => {
      for (const index of instancesOf(bed, victim)) bed.fleet(victim.service).signal(index, 'SIGKILL');
    },
    async stop(bed, victim) {
      for (const index of instancesOf(bed, victim)) await bed.fleet(victim.service).restart(index);
    },
    allowed: { repeatable: 1_000, other: 1_000 },
    reason: 'No instance is left: 503 with `Retry-After`. The other service must not notice.',
  },
  {
    name: 'instances-rolling-restart',
    area: 'instance',
    title: 'rolling restart (SIGTERM, no drain)',
    strikes: 'victim-service',
    forMs: 0,
    async start(bed, victim) {
      for (const index of instancesOf(bed, victim)) {
        await bed.fleet(victim.service).end(index);
        await sleep(1_000);
        await bed.fleet(victim.service).restart(index);
        await sleep(2_000);
      }
    },
    stop: () => {},
    allowed: { other: 5 },
    reason: SENT_POST,
  },
];
