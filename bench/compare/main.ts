import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { FAULTS, type Fault } from './faults.ts';
import { type Fleet, startFleet } from './fleet.ts';
import { runLoad } from './load.ts';
import { createFaultyHost, type FaultyHost } from './namespace.ts';
import { caddy } from './peers/caddy.ts';
import { haproxyGuide, haproxyTuned } from './peers/haproxy.ts';
import { nginx } from './peers/nginx.ts';
import { OUR_WAYS, type OurWay, startOurs } from './peers/ours.ts';
import type { Peer, RunningPeer } from './peers/peer.ts';
import { type ComparisonRow, comparisonPage, comparisonTable } from './report.ts';
import { summarize } from './summary.ts';

/**
 * `npm run compare`: acgs-lb beside the load balancers of Debian, all at the same time and under the same faults, each in
 * front of a fleet of its own, with an open-loop Poisson load on each.
 */
const HELP = `npm run compare -- [options]

  --faults A,B       ${FAULTS.map(({ id }) => id).join(' ')} (default: all)
  --peers A,B        edge gateway direct haproxy-guide haproxy-tuned nginx caddy (default: all)
  --instances N      instances of each fleet (default 3)
  --seconds N        how long each fault lasts (default 15)
  --rate N           requests a second to each contender (default 150)
  --posts N          share of POSTs in percent (default 30)
  --json FILE        write the figures as JSON
  --page             write docs/comparison.md and its chart
`;
const PEERS: readonly Peer[] = [haproxyGuide, haproxyTuned, nginx, caddy];
const WARM_UP_MS = 4_000;
const COOL_DOWN_MS = 5_000;
/** After this time the health checks of every contender have passed. */
const SETTLE_MS = 8_000;

interface Contender {
  readonly id: string;
  readonly title: string;
  readonly fleet: Fleet;
  readonly peer: RunningPeer;
  readonly host: FaultyHost | undefined;
}

class UsageError extends Error {}

interface CompareOptions {
  faults: readonly Fault[];
  peers: readonly string[];
  instances: number;
  durationMs: number;
  rate: number;
  postShare: number;
  json: string | undefined;
  page: boolean;
}

function parseOptions(argv: readonly string[]): CompareOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      faults: { type: 'string', default: FAULTS.map(({ id }) => id).join(',') },
      peers: { type: 'string', default: [...Object.keys(OUR_WAYS), ...PEERS.map(({ id }) => id)].join(',') },
      instances: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '15' },
      rate: { type: 'string', default: '150' },
      posts: { type: 'string', default: '30' },
      json: { type: 'string' },
      page: { type: 'boolean', default: false },
    },
  });
  return {
    faults: values.faults.split(',').map((id) => {
      const fault = FAULTS.find((one) => one.id === id);
      if (!fault) throw new UsageError(`--faults: no fault named "${id}"`);
      return fault;
    }),
    peers: values.peers.split(',').map((id) => {
      if (id in OUR_WAYS || PEERS.some((peer) => peer.id === id)) return id;
      throw new UsageError(`--peers: no peer named "${id}"`);
    }),
    instances: numberOf('--instances', values.instances, 2, 50),
    durationMs: numberOf('--seconds', values.seconds, 1, 3_600) * 1_000,
    rate: numberOf('--rate', values.rate, 1, 5_000),
    postShare: numberOf('--posts', values.posts, 0, 100) / 100,
    json: values.json,
    page: values.page,
  };
}

function numberOf(flag: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (Number.isFinite(value) && value >= min && value <= max) return value;
  throw new UsageError(`${flag}: "${text}" is not a number from ${min} to ${max}`);
}

async function startContenders(options: CompareOptions, folder: string): Promise<Contender[]> {
  const contenders: Contender[] = [];
  const needsNamespace = options.faults.some((fault) => fault.needsNamespace);
  const hosts = options.peers.map(() => (needsNamespace ? createFaultyHost() : null) ?? undefined);
  const fleets = await Promise.all(
    options.peers.map((name, index) =>
      startFleet({ name, size: options.instances, faultyHost: hosts[index] }),
    ),
  );
  const at = (index: number): Fleet => {
    const fleet = fleets[index];
    if (!fleet) throw new Error(`no fleet ${index}`);
    return fleet;
  };
  const ourFleets = new Map(
    options.peers.flatMap((id, index) => (id in OUR_WAYS ? [[id as OurWay, at(index)] as const] : [])),
  );
  const ours = ourFleets.size > 0 ? await startOurs(ourFleets, folder) : new Map<OurWay, RunningPeer>();
  for (const [index, id] of options.peers.entries()) {
    const known = PEERS.find((peer) => peer.id === id);
    const peer = known ? await known.start(at(index), folder) : ours.get(id as OurWay);
    const title = known?.title ?? OUR_WAYS[id as OurWay];
    if (peer) contenders.push({ id, title, fleet: at(index), peer, host: hosts[index] });
    else {
      process.stderr.write(`${title} is not installed: left out\n`);
      await at(index).stop();
    }
  }
  return contenders;
}

async function runFault(fault: Fault, contender: Contender, options: CompareOptions): Promise<ComparisonRow> {
  const { rate, postShare, durationMs } = options;
  const load = runLoad({
    url: contender.peer.url,
    rate,
    postShare,
    durationMs: WARM_UP_MS + durationMs + COOL_DOWN_MS,
  });
  await sleep(WARM_UP_MS);
  await fault.run(contender.fleet, durationMs, contender.host);
  const samples = await load;
  const summary = summarize(samples, WARM_UP_MS, contender.fleet.posts.takeRepeated());
  return {
    fault: fault.id,
    faultTitle: fault.title,
    peer: contender.id,
    peerTitle: contender.title,
    ...summary,
  };
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  const rows: ComparisonRow[] = [];
  for (const fault of options.faults) {
    const results = await compareUnder(fault, options);
    if (results.length === 0) process.stderr.write(`${fault.title}: needs root and iproute2, left out\n`);
    rows.push(...results);
    process.stdout.write(`\n${comparisonTable(results)}\n`);
  }
  if (options.json)
    writeFileSync(options.json, `${JSON.stringify({ options: describe(options), rows }, null, 2)}\n`);
  if (options.page) await comparisonPage(rows, describe(options));
}

/** All contenders under one fault, started for it alone: what one fault leaves behind must not decide the next. */
async function compareUnder(fault: Fault, options: CompareOptions): Promise<ComparisonRow[]> {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-compare-'));
  const contenders = await startContenders({ ...options, faults: [fault] }, folder);
  try {
    await sleep(SETTLE_MS);
    const able = contenders.filter(({ host }) => !fault.needsNamespace || host);
    return await Promise.all(able.map((contender) => runFault(fault, contender, options)));
  } finally {
    await Promise.all(contenders.map(({ peer }) => peer.stop()));
    await Promise.all(contenders.map(({ fleet }) => fleet.stop()));
    for (const { host } of contenders) host?.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

const describe = ({ instances, durationMs, rate, postShare }: CompareOptions) => ({
  instances,
  durationMs,
  rate,
  postShare,
});

if (process.argv.includes('--help')) process.stdout.write(HELP);
else
  await main().catch((error: unknown) => {
    const isUsage = error instanceof UsageError || (error instanceof TypeError && 'code' in error);
    if (!isUsage) throw error;
    process.stderr.write(`${error.message}\n\n${HELP}`);
    process.exitCode = 2;
  });
