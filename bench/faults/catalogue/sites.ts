import type { Bed } from '../bed.ts';
import { killVictim, type MatrixFault, restartVictim, sinkReported } from '../matrix-fault.ts';
import type { SecondSite } from '../second-site.ts';

const second = ({ secondSite }: Bed): SecondSite => {
  if (!secondSite) throw new Error('needs root and iproute2: a network namespace for the second site');
  return secondSite;
};

const POST_OF_THE_SITE =
  'A POST without an `Idempotency-Key` that was on its way to the lost site is never sent twice.';

/** Two sites behind one edge. Sessions may leave the site that a fault strikes. */
export const SITE_FAULTS: readonly MatrixFault[] = [
  {
    name: 'site-lost',
    area: 'two sites',
    title: 'one site is lost: its packets disappear',
    bed: 'two-sites',
    strikes: 'second-site',
    start: (bed) => second(bed).host.drop(),
    stop: (bed) => second(bed).host.restore(),
    allowed: { other: 60 },
    reason: POST_OF_THE_SITE,
  },
  {
    name: 'site-haproxy-killed',
    area: 'two sites',
    title: 'the HAProxy of one site is killed',
    bed: 'two-sites',
    strikes: 'second-site',
    start: (bed) => second(bed).send({ kind: 'kill', part: 'haproxy' }),
    stop: (bed) => second(bed).send({ kind: 'start', part: 'haproxy' }),
    allowed: { other: 20 },
    reason: POST_OF_THE_SITE,
  },
  {
    name: 'site-agent-killed',
    area: 'two sites',
    title: 'the agent of one site is killed',
    bed: 'two-sites',
    start: (bed) => second(bed).send({ kind: 'kill', part: 'agent' }),
    stop: (bed) => second(bed).send({ kind: 'start', part: 'agent' }),
  },
  {
    name: 'site-split',
    area: 'two sites',
    title: 'neither site can publish, clients reach both, and an instance is killed',
    bed: 'two-sites',
    strikes: 'victim',
    async start(bed, victim) {
      bed.relay.set({ kind: 'hung' });
      second(bed).relay.set({ kind: 'hung' });
      killVictim(bed, victim);
    },
    async stop(bed, victim) {
      await restartVictim(bed, victim);
      bed.relay.set({ kind: 'ok' });
      second(bed).relay.set({ kind: 'ok' });
    },
    detected: sinkReported('snapshot'),
    allowed: { other: 5 },
    reason: 'A POST that the killed instance had received.',
  },
];
