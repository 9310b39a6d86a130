import { CliUsageError, CommandFailed } from './errors.ts';
import { type RunningStack, readStackFile } from './stack-file.ts';

/** Where the agent's API is, and the right to write. */
export interface AgentTarget {
  url: string;
  token: string | null;
  /** Present when the target was found through a local stack's file. */
  stack: RunningStack | null;
}

export interface AgentTargetOptions {
  stateDir?: string | undefined;
  env?: NodeJS.ProcessEnv;
}

/**
 * ACGS_AGENT_URL wins (a production agent), unless --state-dir names a local stack; then ACGS_STATE_DIR; then `.acgs`.
 * Throws CommandFailed or Misuse, saying how to point the command at an agent.
 */
export async function findAgentTarget({
  stateDir,
  env = process.env,
}: AgentTargetOptions = {}): Promise<AgentTarget> {
  if (!stateDir && env.ACGS_AGENT_URL) {
    if (!/^https?:$/.test(URL.parse(env.ACGS_AGENT_URL)?.protocol ?? '')) {
      throw new CliUsageError(
        `ACGS_AGENT_URL: ${JSON.stringify(env.ACGS_AGENT_URL)} is no address such as http://127.0.0.1:9400`,
      );
    }
    return { url: env.ACGS_AGENT_URL.replace(/\/+$/, ''), token: env.ACGS_TOKEN ?? null, stack: null };
  }
  const folder = stateDir ?? env.ACGS_STATE_DIR ?? '.acgs';
  const stack = await readStackFile(folder);
  if (!stack) {
    throw new CommandFailed(
      `no running stack in ${folder}/ (start one with \`npm start\`, name its folder with --state-dir, ` +
        'or set ACGS_AGENT_URL and ACGS_TOKEN for an agent elsewhere)',
    );
  }
  return {
    url: stack.agent.replace(/\/+$/, ''),
    token: env.ACGS_TOKEN ?? stack.adminToken ?? null,
    stack,
  };
}

/** An answer outside 2xx, with what the problem document said. */
export class ApiError extends CommandFailed {
  override name = 'ApiError';
  readonly status: number;
  readonly problem: ProblemBody;

  constructor(status: number, problem: ProblemBody, message: string) {
    super(message);
    this.status = status;
    this.problem = problem;
  }
}

interface ProblemBody {
  title?: string;
  detail?: string;
  [key: string]: unknown;
}

export interface ApiClient {
  readonly target: AgentTarget;
  get(path: string): Promise<unknown>;
  post(path: string, body?: unknown): Promise<unknown>;
  put(path: string, body?: unknown): Promise<unknown>;
  delete(path: string): Promise<unknown>;
  /** The raw response, checked for 2xx: for streams and text. */
  open(path: string, init?: RequestInit): Promise<Response>;
}

const TIMEOUT_MS = 15_000;

/** The agent's API as commands use it. Every failure is a CommandFailed whose message is one clear line. */
export function createApiClient(
  target: AgentTarget,
  fetch: typeof globalThis.fetch = globalThis.fetch,
): ApiClient {
  const open = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    if (target.token) headers.set('authorization', `Bearer ${target.token}`);
    let response: Response;
    try {
      response = await fetch(target.url + path, { ...init, headers });
    } catch (cause) {
      throw new CommandFailed(`no answer from the agent at ${target.url}: ${fetchFailureReason(cause)}`, {
        cause,
      });
    }
    if (!response.ok) throw await toApiError(response, target);
    return response;
  };
  const call = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const response = await open(path, {
      method,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const text = await response.text();
    if (!text) return null;
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new CommandFailed(`the agent at ${target.url} answered ${path} with something other than JSON`, {
        cause,
      });
    }
  };
  return {
    target,
    open,
    get: (path) => call('GET', path),
    post: (path, body) => call('POST', path, body),
    put: (path, body) => call('PUT', path, body),
    delete: (path) => call('DELETE', path),
  };
}

const PLAIN_TITLES = new Set(['Bad request', 'Not found', 'Conflict', 'Not in this version or state']);

async function toApiError(response: Response, target: AgentTarget): Promise<ApiError> {
  const text = await response.text().catch(() => '');
  let problem: ProblemBody = {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) problem = parsed as ProblemBody;
  } catch {
    // Not problem+json: something other than the agent answered; the status has to do.
  }
  const { detail, problems } = problem;
  // A title that only says the status over again tells a person nothing.
  const title = detail && PLAIN_TITLES.has(problem.title ?? '') ? undefined : problem.title;
  const said = [title, detail].filter((part): part is string => typeof part === 'string' && part !== '');
  if (Array.isArray(problems) && problems.length > 1) {
    return new ApiError(response.status, problem, [`${title}:`, ...problems].join('\n'));
  }
  const unique = [...new Set(said)].join(': ');
  const where =
    response.status === 401 || response.status === 403
      ? `${unique || 'not allowed'} (${target.token ? 'the token was refused' : 'set ACGS_TOKEN'})`
      : unique || `the agent at ${target.url} answered ${response.status}`;
  return new ApiError(response.status, problem, where.replaceAll('\n', ' '));
}

function fetchFailureReason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if (cause.name === 'TimeoutError') return `nothing within ${TIMEOUT_MS / 1000} s`;
  const inner = cause.cause instanceof Error ? cause.cause : cause;
  const code = (inner as NodeJS.ErrnoException).code;
  if (code === 'ECONNREFUSED') return 'connection refused (is it running?)';
  return inner.message || code || cause.message;
}
