import { z } from 'zod';
import { importSigningKey } from '../../../shared/snapshot/keys.ts';
import { signSnapshot } from '../../../shared/snapshot/signature.ts';
import { snapshotOrderSchema } from '../../http/schemas/control.ts';
import type { StatusDocument } from '../../http/schemas/status.ts';
import { gatewayPublicKey } from '../../snapshot/signing-keys.ts';
import { checkClock, errorSummary, type Finding, fail, ok, skip, warn } from './finding.ts';
import type { DoctorInput } from './input.ts';

const traceSchema = z.looseObject({
  attempts: z.array(z.looseObject({ route: z.string(), origin: z.string(), status: z.number().nullable() })),
});

/** Checks that the edge answers, holds the latest snapshot and accepts our signature, and that HAProxy accepts its token. */
export async function checkEdge(input: DoctorInput, status: StatusDocument | null): Promise<Finding[]> {
  const { config, fetch, now } = input;
  const edge = config.edge.url?.replace(/\/$/, '');
  if (!edge) return [skip('edge', 'edge.url is not set: the agent does not publish to the edge by ingest')];
  let date: string | null;
  try {
    const response = await fetch(`${edge}/__acgs/health`, { signal: AbortSignal.timeout(5_000) });
    if (!response.ok)
      return [
        fail(
          'edge',
          `${edge} answers ${response.status}`,
          'deploy the Worker there, or set edge.url to its address',
        ),
      ];
    date = response.headers.get('date');
  } catch (error) {
    return [
      fail(
        'edge',
        `${edge}: ${errorSummary(error)}`,
        'set edge.url to the address of the Worker; it must be reachable from this host',
      ),
    ];
  }
  return [
    ok('edge', `${edge} answers`),
    ...checkAddress(edge),
    ...(date ? [checkClock('edge clock', Date.parse(date) + 500, now())] : []),
    ...(await Promise.all([
      checkSnapshot(input, edge, status),
      checkSignature(input, edge),
      checkGatewayKeys(input),
      checkThrough(input, edge),
      checkCache(input, edge),
    ])),
  ];
}

function checkAddress(edge: string): Finding[] {
  if (!new URL(edge).hostname.endsWith('.workers.dev')) return [];
  const mend = 'deploy to your own domain: `acgs-lb edge deploy`';
  return [warn('edge address', 'workers.dev is for trials: no cache, no rules in front of the Worker', mend)];
}

const edgeStatusSchema = z.looseObject({ hasCache: z.boolean() });

async function checkCache({ env, fetch }: DoctorInput, edge: string): Promise<Finding> {
  const NAME = 'edge cache';
  if (!env.EDGE_TOKEN) return skip(NAME, 'EDGE_TOKEN is not set here; /__acgs/status needs it');
  try {
    const response = await fetch(`${edge}/__acgs/status`, {
      headers: { authorization: `Bearer ${env.EDGE_TOKEN}` },
      signal: AbortSignal.timeout(10_000),
    });
    if (response.status === 401)
      return fail(NAME, 'the edge rejects EDGE_TOKEN', 'set EDGE_TOKEN to the value of the Worker');
    const { hasCache } = edgeStatusSchema.parse(await response.json());
    if (hasCache) return ok(NAME, 'responses are stored, to serve them while no instance answers');
    return warn(
      NAME,
      'the Cache API stores nothing here: no stale responses, and every isolate polls the Hub by itself',
      'deploy the Worker to your own domain (`acgs-lb edge deploy`); `acgs-lb edge` has its own cache',
    );
  } catch (error) {
    return warn(NAME, errorSummary(error), 'deploy the Worker of this version');
  }
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
      return fail('snapshot', `the edge does not serve site ${id}`, `add ${id} to the Worker's SITES`);
    const held = snapshotOrderSchema.parse(await response.json());
    const detail = `the edge holds epoch ${held.epoch} seq ${held.seq}`;
    if (held.epoch === 0)
      return fail(
        'snapshot',
        'the edge has no snapshot: it sends every request to FALLBACK_ORIGIN, where paths with access rules are closed unless the edge has GATEWAY_JWT_KEY',
        'run `acgs-lb publish`, and see agent → snapshot above',
      );
    if (!status) return ok('snapshot', detail);
    const { epoch, seq, publishedAt } = status.snapshot;
    if (held.epoch > epoch)
      return warn(
        'snapshot',
        `${detail}, newer than this agent's ${epoch}.${seq}`,
        'if another agent publishes for this site, this is normal; else restart the agent: it claims the next epoch',
      );
    if (held.epoch < epoch || held.seq < seq)
      return fail('snapshot', `${detail}, the agent is at ${epoch}.${seq}`, 'see agent → snapshot above');
    const age = publishedAt === null ? null : (status.at - publishedAt) / 1000;
    if (age !== null && age > 900)
      return warn(
        'snapshot',
        `${detail}, published ${Math.round(age / 60)} min ago`,
        'the agent publishes at least every 5 min; see its log',
      );
    return ok('snapshot', `${detail}, the latest`);
  } catch (error) {
    return fail(
      'snapshot',
      errorSummary(error),
      'the SnapshotHub of the Worker does not answer; `wrangler tail` shows why',
    );
  }
}

/** Sends an empty snapshot with order (0, 0). The edge checks its signature, then rejects it as outdated. */
async function checkSignature({ config, env, fetch }: DoctorInput, edge: string): Promise<Finding> {
  if (!env.SNAPSHOT_SIGNING_KEY)
    return skip(
      'signature',
      'SNAPSHOT_SIGNING_KEY is not set here (give the environment of the agent with --env-file)',
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
        `the edge rejects the key ${key.kid}`,
        'set SNAPSHOT_PUBLIC_KEYS of the Worker to the output of `acgs-lb keys public`',
      );
    if (status === 409 || status === 200) return ok('signature', `the edge accepts the key ${key.kid}`);
    return warn('signature', `the edge answered ${status}`, 'see the check of the snapshot above');
  } catch (error) {
    return fail(
      'signature',
      errorSummary(error),
      'SNAPSHOT_SIGNING_KEY must be <kid>:<base64url pkcs8>; create one with `acgs-lb keys new`',
    );
  }
}

function checkGatewayKeys({ env }: DoctorInput): Finding {
  const { GATEWAY_JWT_KEY, EDGE_JWT_PUBLIC_KEYS = '' } = env;
  if (!GATEWAY_JWT_KEY)
    return skip('edge key', 'GATEWAY_JWT_KEY is not set here; the request below tests it');
  try {
    const wanted = gatewayPublicKey(GATEWAY_JWT_KEY);
    const known = EDGE_JWT_PUBLIC_KEYS.split(',').map((part) => part.trim());
    if (known.includes(wanted))
      return ok('edge key', 'EDGE_JWT_PUBLIC_KEYS contains the public key of GATEWAY_JWT_KEY');
    return fail(
      'edge key',
      'EDGE_JWT_PUBLIC_KEYS does not contain the public key of GATEWAY_JWT_KEY',
      'set it to the output of `acgs-lb keys public` and restart the agent',
    );
  } catch (error) {
    return fail('edge key', errorSummary(error), 'create one with `acgs-lb keys new`');
  }
}

/** Sends a request and reads the edge's trace of its attempts. HAProxy answers 401 to an invalid edge token. */
async function checkThrough({ config, env, fetch }: DoctorInput, edge: string): Promise<Finding> {
  const [service] = Object.values(config.services);
  if (!service || !env.EDGE_TOKEN)
    return skip('edge → gateway', 'EDGE_TOKEN is not set here; without it the edge sends no trace');
  try {
    const response = await fetch(`${edge}${service.routes[0]}${service.health.path}`, {
      headers: { 'x-acgs-explain': '1', 'x-acgs-token': env.EDGE_TOKEN },
      redirect: 'manual',
      signal: AbortSignal.timeout(10_000),
    });
    const header = response.headers.get('x-acgs-trace');
    if (response.status === 429)
      return skip('edge → gateway', 'the edge is rate-limiting this host; try again later');
    if (!header)
      return warn(
        'edge → gateway',
        `status ${response.status} without x-acgs-trace`,
        'set EDGE_TOKEN to the value of the Worker',
      );
    const trace = traceSchema.safeParse(JSON.parse(header));
    if (!trace.success)
      return warn(
        'edge → gateway',
        `status ${response.status}, but the edge's trace has an unknown form`,
        'run this command in the version of the edge, or deploy the edge again',
      );
    const { attempts } = trace.data;
    const refused = attempts.find(({ route, status }) => route === 'gateway' && status === 401);
    if (refused)
      return fail(
        'edge → gateway',
        `${refused.origin} rejects the edge's token`,
        'GATEWAY_JWT_KEY (edge) and EDGE_JWT_PUBLIC_KEYS (agent) must be one key pair, and both clocks must agree',
      );
    const last = attempts.at(-1);
    const by = response.headers.get('x-acgs-instance') ?? 'no instance';
    if (last?.route === 'gateway')
      return ok('edge → gateway', `status ${response.status} by ${by} through ${last.origin}`);
    return warn(
      'edge → gateway',
      `status ${response.status} by ${by}, path ${last?.route ?? 'unknown'}`,
      'the edge could not use the gateway; see the checks of gateway and HAProxy',
    );
  } catch (error) {
    return fail('edge → gateway', errorSummary(error), 'see the checks of edge and gateway');
  }
}
