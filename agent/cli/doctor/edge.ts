import { z } from 'zod';
import { importSigningKey } from '../../../shared/snapshot/keys.ts';
import { signSnapshot } from '../../../shared/snapshot/signature.ts';
import type { StatusDocument } from '../../http/schemas.ts';
import { gatewayPublicKey } from '../../snapshot/signing-keys.ts';
import { edgeOrderSchema } from './agent.ts';
import { checkClock, errorSummary, type Finding, fail, ok, skip, warn } from './finding.ts';
import type { DoctorInput } from './input.ts';

const traceShape = z.looseObject({
  tries: z.array(
    z.looseObject({ way: z.string(), to: z.string(), result: z.union([z.number(), z.string()]) }),
  ),
});

/** The edge answers, holds the newest snapshot, believes our signature, and HAProxy believes the edge's token. */
export async function checkEdge(facts: DoctorInput, status: StatusDocument | null): Promise<Finding[]> {
  const { config, fetch, now } = facts;
  const edge = config.edge.url?.replace(/\/$/, '');
  if (!edge) return [skip('edge', 'edge.url is not set: nothing is published by ingest')];
  let date: string | null;
  try {
    const response = await fetch(`${edge}/__acgs/health`, { signal: AbortSignal.timeout(5_000) });
    if (!response.ok)
      return [
        fail(
          'edge',
          `${edge} answers ${response.status}`,
          'edge.url must be the Worker of this system; is it deployed there?',
        ),
      ];
    date = response.headers.get('date');
  } catch (error) {
    return [
      fail(
        'edge',
        `${edge}: ${errorSummary(error)}`,
        'edge.url must be where the Worker answers, reachable from this host',
      ),
    ];
  }
  return [
    ok('edge', `${edge} answers`),
    ...(date ? [checkClock('edge clock', Date.parse(date) + 500, now())] : []),
    ...(await Promise.all([
      checkSnapshot(facts, edge, status),
      checkSignature(facts, edge),
      checkGatewayKeys(facts),
      checkThrough(facts, edge),
    ])),
  ];
}

async function checkSnapshot(
  { config, fetch }: DoctorInput,
  edge: string,
  status: StatusDocument | null,
): Promise<Finding> {
  const { id } = config.site;
  try {
    const response = await fetch(`${edge}/__acgs/snapshot/${encodeURIComponent(id)}`, {
      signal: AbortSignal.timeout(5_000),
    });
    if (response.status === 404)
      return fail('snapshot', `the edge does not know site ${id}`, `add ${id} to the Worker's SITES`);
    const held = edgeOrderSchema.parse(await response.json());
    const detail = `the edge holds epoch ${held.epoch} seq ${held.seq}`;
    if (held.epoch === 0)
      return fail(
        'snapshot',
        'the edge has none: requests go untargeted to FALLBACK_ORIGIN',
        'acgs-lb publish, and look at agent → snapshot above',
      );
    if (!status) return ok('snapshot', detail);
    const { epoch, seq, publishedAt } = status.snapshot;
    if (held.epoch > epoch)
      return warn(
        'snapshot',
        `${detail}, newer than this agent's ${epoch}.${seq}`,
        'another agent publishes for this site; with one agent, restart it: it claims the next epoch',
      );
    if (held.epoch < epoch || held.seq < seq)
      return fail('snapshot', `${detail}, the agent is at ${epoch}.${seq}`, 'look at agent → snapshot above');
    const age = publishedAt === null ? null : (status.at - publishedAt) / 1000;
    if (age !== null && age > 900)
      return warn(
        'snapshot',
        `${detail}, published ${Math.round(age / 60)} min ago`,
        'a heartbeat is due every 5 min: look at the agent’s log',
      );
    return ok('snapshot', `${detail}, the newest`);
  } catch (error) {
    return fail(
      'snapshot',
      errorSummary(error),
      'the SnapshotHub of the Worker does not answer: wrangler tail shows why',
    );
  }
}

/** An empty snapshot of order (0, 0) is never accepted, yet its signature is looked at first. */
async function checkSignature({ config, env, fetch }: DoctorInput, edge: string): Promise<Finding> {
  if (!env.SNAPSHOT_SIGNING_KEY)
    return skip(
      'signature',
      'SNAPSHOT_SIGNING_KEY is not set here (--env-file names the agent’s environment)',
    );
  const site = config.site.id;
  try {
    const key = await importSigningKey(env.SNAPSHOT_SIGNING_KEY);
    const sealed = await signSnapshot(
      { v: 1, site, epoch: 0, seq: 0, issuedAt: 0, gateways: [], services: {} },
      key,
    );
    const { status } = await fetch(`${edge}/__acgs/snapshot/${encodeURIComponent(site)}?kv=0`, {
      method: 'PUT',
      body: sealed,
      signal: AbortSignal.timeout(5_000),
    });
    if (status === 401)
      return fail(
        'signature',
        `the edge does not believe key ${key.kid}`,
        'set the Worker’s SNAPSHOT_PUBLIC_KEYS to what `acgs-lb keys public` prints',
      );
    if (status === 409 || status === 200) return ok('signature', `the edge believes key ${key.kid}`);
    return warn('signature', `the edge answered ${status}`, 'see the check of the snapshot');
  } catch (error) {
    return fail(
      'signature',
      errorSummary(error),
      'SNAPSHOT_SIGNING_KEY must be <kid>:<base64url pkcs8>; `acgs-lb keys new` makes one',
    );
  }
}

function checkGatewayKeys({ env }: DoctorInput): Finding {
  const { GATEWAY_JWT_KEY, EDGE_JWT_PUBLIC_KEYS = '' } = env;
  if (!GATEWAY_JWT_KEY)
    return skip('edge key', 'GATEWAY_JWT_KEY is not known here: only the request below can tell');
  try {
    const wanted = gatewayPublicKey(GATEWAY_JWT_KEY);
    const known = EDGE_JWT_PUBLIC_KEYS.split(',').map((part) => part.trim());
    if (known.includes(wanted))
      return ok('edge key', 'EDGE_JWT_PUBLIC_KEYS holds the public half of GATEWAY_JWT_KEY');
    return fail(
      'edge key',
      'EDGE_JWT_PUBLIC_KEYS lacks the public half of GATEWAY_JWT_KEY',
      'set it to what `acgs-lb keys public` prints, and restart the agent',
    );
  } catch (error) {
    return fail('edge key', errorSummary(error), '`acgs-lb keys new` makes one');
  }
}

/** A real request, with the edge's own account of its tries: HAProxy says 401 to a token it does not believe. */
async function checkThrough({ config, env, fetch }: DoctorInput, edge: string): Promise<Finding> {
  const [service] = Object.values(config.services);
  if (!service || !env.EDGE_TOKEN)
    return skip('edge → gateway', 'EDGE_TOKEN is not known here: the edge would not tell');
  try {
    const response = await fetch(`${edge}${service.routes[0]}${service.health.path}`, {
      headers: { 'x-acgs-explain': '1', 'x-acgs-token': env.EDGE_TOKEN },
      redirect: 'manual',
      signal: AbortSignal.timeout(10_000),
    });
    const header = response.headers.get('x-acgs-trace');
    if (response.status === 429)
      return skip('edge → gateway', 'this host is rate-limited at the edge just now');
    if (!header)
      return warn(
        'edge → gateway',
        `answered ${response.status} without x-acgs-trace`,
        'EDGE_TOKEN here must be the Worker’s EDGE_TOKEN',
      );
    const { tries } = traceShape.parse(JSON.parse(header));
    const refused = tries.find((attempt) => attempt.way === 'gateway' && attempt.result === 401);
    if (refused)
      return fail(
        'edge → gateway',
        `${refused.to} refuses the edge's token`,
        'GATEWAY_JWT_KEY (edge) and EDGE_JWT_PUBLIC_KEYS (agent) must belong together, and both clocks agree',
      );
    const last = tries.at(-1);
    const by = response.headers.get('x-acgs-instance') ?? 'nobody';
    if (last?.way === 'gateway')
      return ok('edge → gateway', `answered ${response.status} by ${by} through ${last.to}`);
    return warn(
      'edge → gateway',
      `answered ${response.status} by ${by}, by way of ${last?.way ?? 'nothing'}`,
      'the edge could not use the gateway: see the checks of gateway and HAProxy',
    );
  } catch (error) {
    return fail('edge → gateway', errorSummary(error), 'see the checks of edge and gateway');
  }
}
