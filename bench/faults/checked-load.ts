import { createHash } from 'node:crypto';
import { Agent, type IncomingMessage, request } from 'node:http';
import { type PoissonOptions, poisson } from '../compare/load.ts';

/** One request as its client saw it. Instants in milliseconds since the start of the load. */
export interface CheckedSample {
  readonly service: string;
  readonly method: 'GET' | 'POST';
  /** It can be repeated without risk: a GET, or a POST with an Idempotency-Key. */
  readonly repeatable: boolean;
  readonly startedAt: number;
  readonly ms: number;
  /** 0: no complete response. */
  readonly status: number;
  readonly error: string;
  /** A response that no client may get: of another service, or with a changed body. */
  readonly wrong: string | null;
  /** The instance that a session was moved away from. */
  readonly movedFrom: string | null;
}

export const isFailed = ({ status }: CheckedSample): boolean => status === 0 || status >= 400;
/** Rejected because of overload, before an instance worked on it. */
export const isShed = ({ status }: CheckedSample): boolean => status === 503 || status === 429;

/** `3× GET 503, 1× POST client timeout`. */
export function countEndings(samples: readonly CheckedSample[]): string {
  const counts = Map.groupBy(samples, ({ method, status, error }) => `${method} ${status || error}`);
  return [...counts].map(([what, all]) => `${all.length}× ${what}`).join(', ');
}

export interface CheckedLoadOptions extends PoissonOptions {
  /** Read for each request, because a fault may move the clients to another edge. */
  origin: () => string;
  service: string;
  postShare: number;
  /** Clients that keep their cookie. Half of all requests come from them. */
  sessions: number;
}

const CLIENT_TIMEOUT_MS = 10_000;
const RESPONSE_BODY = `${'x'.repeat(1023)}\n`;
let sequence = 0;

interface ClientSession {
  cookie: string;
  servedBy: string;
}

/** Sends requests to one service, checks every response, and resolves when the last request has ended. */
export async function runCheckedLoad(options: CheckedLoadOptions): Promise<CheckedSample[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
  const sessions = Array.from({ length: options.sessions }, () => ({ cookie: '', servedBy: '' }));
  const began = performance.now();
  const samples = await poisson(options, () => {
    const session =
      Math.random() < 0.5 ? (sessions[Math.floor(Math.random() * sessions.length)] ?? null) : null;
    return sendChecked({ options, agent, began, session });
  });
  agent.destroy();
  return samples;
}

interface CheckedRequest {
  options: CheckedLoadOptions;
  agent: Agent;
  began: number;
  session: ClientSession | null;
}

function sendChecked({ options, agent, began, session }: CheckedRequest): Promise<CheckedSample> {
  const { service, postShare, origin } = options;
  const startedAt = performance.now() - began;
  const pinnedTo = session?.cookie ? session.servedBy : '';
  const method = Math.random() < postShare ? 'POST' : 'GET';
  const repeatable = method === 'GET' || Math.random() < 0.33;
  const id = `${process.pid}-${sequence++}`;
  const body = method === 'POST' ? `${id}:${'y'.repeat(200 + Math.floor(Math.random() * 2_000))}` : '';
  const headers: Record<string, string> = {
    // A POST without a key must not be executed twice: the instances report only those ids.
    ...(method === 'POST' && repeatable ? { 'idempotency-key': id } : { 'x-compare-id': id }),
    ...(session?.cookie ? { cookie: session.cookie } : {}),
    ...(body ? { 'content-length': String(body.length) } : {}),
  };
  return new Promise((resolve) => {
    const end = (result: Partial<CheckedSample>): void =>
      resolve({
        service,
        method,
        repeatable,
        startedAt,
        ms: performance.now() - began - startedAt,
        status: 0,
        error: '',
        wrong: null,
        movedFrom: null,
        ...result,
      });
    const outgoing = request(`${origin()}/${service}/x`, { method, agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', (error) => end({ error: error.message }));
      response.once('end', () => {
        if (!response.complete) return end({ error: 'truncated' });
        end(
          checkResponse(response, Buffer.concat(chunks).toString('latin1'), {
            service,
            session,
            pinnedTo,
            sent: body,
          }),
        );
      });
    });
    const timer = setTimeout(() => outgoing.destroy(new Error('client timeout')), CLIENT_TIMEOUT_MS);
    outgoing.once('close', () => clearTimeout(timer));
    outgoing.once('error', (error) => end({ error: error.message }));
    outgoing.end(body);
  });
}

interface CheckedExchange {
  service: string;
  session: ClientSession | null;
  pinnedTo: string;
  sent: string;
}

function checkResponse(
  { statusCode: status = 0, headers }: IncomingMessage,
  text: string,
  { service, session, pinnedTo, sent }: CheckedExchange,
): Partial<CheckedSample> {
  if (status >= 400) return { status };
  const servedBy = String(headers['x-served-by'] ?? '');
  if (session) remember(session, servedBy, headers['set-cookie']);
  const movedFrom = pinnedTo && pinnedTo !== servedBy ? pinnedTo : null;
  const base = { status, movedFrom };
  if (!servedBy.startsWith(`${service}-`))
    return { ...base, wrong: `served by ${servedBy || 'no instance'}` };
  if (text !== RESPONSE_BODY) return { ...base, wrong: `${text.length} bytes of another body` };
  if (headers['x-received-sha256'] !== createHash('sha256').update(sent).digest('hex'))
    return { ...base, wrong: 'the instance got another body' };
  return { ...base, wrong: null };
}

/** Requests of one session overlap. A pin counts from the response that set it. */
function remember(session: ClientSession, servedBy: string, cookies: string[] | undefined): void {
  const cookie = cookies?.[0]?.split(';')[0];
  if (cookie) session.cookie = cookie;
  if (cookie || !session.servedBy) session.servedBy = servedBy;
}
