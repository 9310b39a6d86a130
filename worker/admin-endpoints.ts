import { type IRequest, Router } from 'itty-router';
import { clientKey } from '../shared/address.ts';
import { errorMessage } from '../shared/error-message.ts';
import type { RequestUrl } from '../shared/request-url.ts';
import { signerOf, verifySnapshot } from '../shared/snapshot/signature.ts';
import { openSiteDirectory, SITE_DIRECTORY } from '../shared/snapshot/site-directory.ts';
import type { SnapshotOrder } from '../shared/snapshot/snapshot.ts';
import type { Edge } from './edge.ts';
import { cacheStores } from './io/location-cache.ts';
import { withTimeout } from './io/with-timeout.ts';
import { problemResponse } from './problem.ts';
import { HUB_NAME } from './snapshots/hub-name.ts';
import type { SnapshotUpload } from './snapshots/uploads.ts';
import { readClientAddress } from './steps/client-address.ts';
import { timingSafeEqual } from './timing-safe-equal.ts';

const PREFIX = '/__acgs/';
/** A Durable Object stores values up to 2 MB: about 8,000 instances. */
const MAX_SNAPSHOT_BYTES = 2_000_000;
const HUB_TIMEOUT_MS = 5_000;
/** How far the clock of the computer that signs the site directory may be ahead. */
const MAX_CLOCK_AHEAD_MS = 3_600_000;
/** For any of the endpoints. */
const DEADLINE_MS = 20_000;

/** Answers a request to one of the edge's own endpoints. Null: the request is for a service. */
export function adminEndpoint(
  { proto, host, target }: RequestUrl,
  request: Request,
  edge: Edge,
  ctx: ExecutionContext,
): Promise<Response> | null {
  if (!target.startsWith(PREFIX)) return null;
  // A HEAD is handled as a GET, which must not have a body. The runtime drops the body of the response.
  const asGet =
    request.method === 'HEAD'
      ? new Request(`${proto}://${host}${target}`, { headers: request.headers })
      : request;
  const work = answerWithinLimits(target, request, edge, () => router.fetch(asGet, edge, ctx));
  return withTimeout(work, DEADLINE_MS, 'The endpoint').catch(unavailable);
}

const HEALTH = '/__acgs/health';

async function answerWithinLimits(
  target: string,
  request: Request,
  edge: Edge,
  answer: () => Promise<Response>,
): Promise<Response> {
  const { adminLimits, settings, now } = edge;
  const address = readClientAddress(request, request.headers, settings);
  const client = address.ok ? clientKey(address.address) : '';
  const requestWait = adminLimits.takeRequest(client, now());
  if (requestWait > 0) return tooManyRequests(requestWait, 'Too many requests to this endpoint.');
  const credentialWait = target === HEALTH ? 0 : adminLimits.credentialWait(client, now());
  if (credentialWait > 0) return tooManyRequests(credentialWait, 'Too many wrong credentials.');
  const response = await answer();
  if (response.status === 401) adminLimits.recordFailure(client, now());
  return response;
}

const tooManyRequests = (waitSeconds: number, detail: string): Response =>
  problemResponse(
    { title: 'Too Many Requests', status: 429, detail },
    { 'retry-after': String(waitSeconds) },
  );

const router = Router<IRequest, [Edge, ExecutionContext], Response>();

router.get('/__acgs/health', async (_, edge) =>
  Response.json({ status: 'ok', snapshot: edge.snapshots.view !== null }),
);

router.get('/__acgs/status', async (request, edge) => {
  const { edgeToken } = edge.settings;
  const given = /^Bearer +(.+)$/i.exec(request.headers.get('authorization') ?? '')?.[1];
  if (!edgeToken || !given || !timingSafeEqual(given, edgeToken)) {
    return problemResponse(
      { title: 'Unauthorized', status: 401, detail: 'Send EDGE_TOKEN as a bearer token.' },
      { 'www-authenticate': 'Bearer' },
    );
  }
  const [hasCache] = await Promise.all([cacheStores(), edge.refresher.refresh()]);
  return Response.json(statusOf(edge, hasCache), { headers: { 'cache-control': 'no-store' } });
});

router.get('/__acgs/snapshot/:site', async (request, edge) => {
  const site = String(request.params.site);
  if (!(await isServed(edge, site))) return unknownSite(site);
  try {
    const order = await withTimeout(Promise.resolve(hubOf(edge).order(site)), HUB_TIMEOUT_MS, 'SnapshotHub');
    return Response.json({ site, ...order });
  } catch (error) {
    return unavailable(error);
  }
});

/** Needs no token: the signature proves that the sender may publish for the site. */
router.put('/__acgs/snapshot/:site', async (request, edge) => {
  const site = String(request.params.site);
  if (!(await isServed(edge, site))) return unknownSite(site);
  const length = declaredLength(request);
  if (length === null) return lengthRequired();
  if (length > MAX_SNAPSHOT_BYTES) return uploadRefused('too-large');
  const { verifyKeys } = edge.snapshots;
  const upload = await edge.snapshotUploads.read({
    body: request.body,
    length,
    isKnownKey: (firstLine) => signerOf(firstLine, site, verifyKeys) !== null,
  });
  if (!upload.ok) return uploadRefused(upload.why);
  const { sealed } = upload;
  const opened = await verifySnapshot(sealed, site, verifyKeys);
  if (!opened.ok) return notSigned(opened.why);
  const prepared = edge.snapshots.prepare([opened.snapshot]);
  if (!prepared.ok) return unprocessable(prepared.why);
  const { epoch, seq } = opened.snapshot;
  const toKv = request.query.kv !== '0';
  const accepting = Promise.resolve(hubOf(edge).accept({ site, epoch, seq, sealed }, toKv));
  try {
    const { accepted, current } = await withTimeout(accepting, HUB_TIMEOUT_MS, 'SnapshotHub');
    if (!accepted) return outdated(site, { epoch, seq }, current);
  } catch (error) {
    return unavailable(error);
  }
  if (!edge.settings.kvOnly) edge.snapshots.accept(prepared, 'put');
  return Response.json({ site, epoch, seq, kv: toKv ? 'scheduled' : 'skipped' });
});

/** Needs no token: the directory is signed with a key of SITE_DIRECTORY_KEYS. */
router.put('/__acgs/sites', async (request, edge) => {
  const { directoryKeys, kvOnly } = edge.settings;
  if (directoryKeys.length === 0) return noDirectory();
  const length = declaredLength(request);
  if (length === null) return lengthRequired();
  if (length > MAX_SNAPSHOT_BYTES) return uploadRefused('too-large');
  const upload = await edge.snapshotUploads.read({
    body: request.body,
    length,
    isKnownKey: (firstLine) => signerOf(firstLine, SITE_DIRECTORY, directoryKeys) !== null,
  });
  if (!upload.ok) return uploadRefused(upload.why);
  const { sealed } = upload;
  const opened = await openSiteDirectory(sealed, directoryKeys);
  if (!opened.ok) return opened.signed ? unprocessable(opened.why) : notSigned(opened.why);
  const order = { epoch: 0, seq: opened.seq };
  if (opened.seq > edge.now() + MAX_CLOCK_AHEAD_MS)
    return unprocessable('seq is in the future: check the clock');
  const accepting = Promise.resolve(hubOf(edge).accept({ site: SITE_DIRECTORY, ...order, sealed }, true));
  try {
    const { accepted, current } = await withTimeout(accepting, HUB_TIMEOUT_MS, 'SnapshotHub');
    if (!accepted) return outdated(SITE_DIRECTORY, order, current);
  } catch (error) {
    return unavailable(error);
  }
  if (!kvOnly) edge.snapshots.acceptDirectory(opened);
  return Response.json({ seq: opened.seq, sites: edge.snapshots.sites });
});

const methodNotAllowed = (methods: string) => async (): Promise<Response> =>
  problemResponse(
    { title: 'Method Not Allowed', status: 405, detail: `Allowed: ${methods}.` },
    { allow: methods },
  );

router.all('/__acgs/health', methodNotAllowed('GET, HEAD'));
router.all('/__acgs/status', methodNotAllowed('GET, HEAD'));
router.all('/__acgs/sites', methodNotAllowed('PUT'));
router.all('/__acgs/snapshot/:site', methodNotAllowed('GET, HEAD, PUT'));
router.all('*', async () => problemResponse({ title: 'Not Found', status: 404 }));

function statusOf(edge: Edge, hasCache: boolean) {
  const now = edge.now();
  const services = [...(edge.snapshots.view?.services.values() ?? [])].map((service) => ({
    id: service.id,
    strategy: service.policy.strategy,
    panic: service.sites.some((site) => site.pool(now).panic),
    instances: service.candidates.map(({ id, site, state, reason, breaker, weight, priority, local }) => ({
      id,
      site,
      state,
      reason,
      breaker,
      weight,
      priority,
      latencyMs: local.latency.at === 0 ? null : Math.round(local.latency.estimate * 100) / 100,
      pending: local.pending,
      ejectedForMs: Math.max(0, local.ejection.ejectedUntil - now),
    })),
  }));
  return {
    isolate: edge.counters.isolate,
    snapshots: edge.snapshots.status(now),
    polling: edge.refresher.polling,
    gateways: edge.gateways.status(now),
    siteDirectory: edge.snapshots.directory,
    privateSites: edge.settings.sites.filter((site) => edge.upstreams.isPrivate(site)),
    // Without a cache there are no stale responses, and every isolate polls the Hub by itself.
    hasCache,
    sharedIds: edge.snapshots.view?.duplicateInstanceIds ?? [],
    services,
  };
}

const hubOf = (edge: Edge) => edge.env.SNAPSHOT_HUB.getByName(HUB_NAME);

const outdated = (site: string, given: SnapshotOrder, current: SnapshotOrder): Response =>
  problemResponse({
    title: 'Conflict',
    status: 409,
    detail: `(${given.epoch}, ${given.seq}) is not newer than (${current.epoch}, ${current.seq}).`,
    site,
    ...current,
  });

/**
 * Whether the site is served. An isolate that does not know it fetches the newest site directory, when a poll is due.
 */
async function isServed(
  { snapshots, polls, refresher, settings, now }: Edge,
  site: string,
): Promise<boolean> {
  const isKnown = (): boolean => snapshots.sites.includes(site);
  if (isKnown() || settings.directoryKeys.length === 0) return isKnown();
  polls.expectChange(now());
  if (polls.isDue(now())) await refresher.refresh();
  return isKnown();
}

const unknownSite = (site: string): Response =>
  problemResponse({
    title: 'Not Found',
    status: 404,
    detail: `Site "${site}" is neither in SITES nor in the site directory.`,
  });

const noDirectory = (): Response =>
  problemResponse({ title: 'Not Found', status: 404, detail: 'This edge has no SITE_DIRECTORY_KEYS.' });

const unprocessable = (detail: string): Response =>
  problemResponse({ title: 'Unprocessable Content', status: 422, detail });

function unavailable(error: unknown): Response {
  return problemResponse(
    { title: 'Service Unavailable', status: 503, detail: errorMessage(error) },
    { 'retry-after': '2' },
  );
}

const lengthRequired = (): Response =>
  problemResponse({ title: 'Length Required', status: 411, detail: 'Send a Content-Length.' });

/** The challenge names no scheme of HTTP: the proof is in the body. */
const notSigned = (detail: string): Response =>
  problemResponse(
    { title: 'Unauthorized', status: 401, detail },
    { 'www-authenticate': 'Acgs-Snapshot-Signature' },
  );

function uploadRefused(why: Exclude<SnapshotUpload, { ok: true }>['why']): Response {
  switch (why) {
    case 'unknown-key':
      return notSigned('The first line names no public key of this site.');
    case 'too-large': {
      const detail = `A snapshot must not exceed ${MAX_SNAPSHOT_BYTES} bytes or its Content-Length.`;
      return problemResponse({ title: 'Content Too Large', status: 413, detail });
    }
    case 'incomplete':
      return problemResponse({ title: 'Bad Request', status: 400, detail: 'The body ended too early.' });
    case 'too-slow': {
      const detail = 'The snapshot did not arrive in time.';
      return problemResponse({ title: 'Request Timeout', status: 408, detail });
    }
    case 'displaced':
      return problemResponse(
        { title: 'Service Unavailable', status: 503, detail: 'Too many snapshots arrive at once.' },
        { 'retry-after': '1' },
      );
  }
}

/** Null: not declared, or not a number. */
function declaredLength({ headers }: IRequest): number | null {
  const length = headers.get('content-length');
  return length !== null && /^\d+$/.test(length) ? Number(length) : null;
}
