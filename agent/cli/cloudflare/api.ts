import { z } from 'zod';
import { CommandFailed } from '../errors.ts';

/** Cloudflare refused a call. `codes` are those of its API. */
export class CloudflareError extends CommandFailed {
  override name = 'CloudflareError';
  readonly status: number;
  readonly codes: readonly number[];

  constructor(message: string, status: number, codes: readonly number[]) {
    super(message);
    this.status = status;
    this.codes = codes;
  }
}

export interface CloudflareApi {
  get<T>(path: string, result: z.ZodType<T>): Promise<T>;
  /** Every page of a list. */
  list<T>(path: string, item: z.ZodType<T>): Promise<T[]>;
  send<T>(method: 'POST' | 'PUT', path: string, call: { body: object; result: z.ZodType<T> }): Promise<T>;
}

interface CloudflareApiOptions {
  token: string;
  /** `https://api.cloudflare.com/client/v4` */
  baseUrl: string;
  fetch: typeof globalThis.fetch;
}

export const cloudflareApiUrl = (env: NodeJS.ProcessEnv): string =>
  (env.CLOUDFLARE_API_BASE_URL ?? 'https://api.cloudflare.com/client/v4').replace(/\/$/, '');

const TIMEOUT_MS = 20_000;
const MAX_PAGES = 50;
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

const envelope = z.object({
  success: z.boolean(),
  errors: z.array(z.object({ code: z.number(), message: z.string() })).default([]),
  result: z.unknown(),
  result_info: z
    .object({ total_pages: z.number(), total_count: z.number(), per_page: z.number() })
    .partial()
    .nullish(),
});

type Envelope = z.output<typeof envelope>;

/** Cloudflare's REST API, version 4. Every method throws a CloudflareError that names the call and Cloudflare's reason. */
export function createCloudflareApi({ token, baseUrl, fetch }: CloudflareApiOptions): CloudflareApi {
  async function call(method: string, path: string, body?: object): Promise<Envelope> {
    const name = `${method} ${path.split('?')[0] ?? path}`;
    let status = 0;
    let text: string;
    try {
      const response = await fetch(`${baseUrl}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
        ...(body && { body: JSON.stringify(body) }),
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      status = response.status;
      text = await response.text();
    } catch (cause) {
      const reason =
        cause instanceof Error ? String((cause.cause as Error | undefined)?.message ?? cause.message) : '';
      throw new CloudflareError(`Cloudflare's API cannot be reached at ${baseUrl}: ${reason}`, 0, []);
    }
    return parseEnvelope(name, status, text);
  }

  return {
    get: async (path, result) => parseResult(path, result, (await call('GET', path)).result),
    async list(path, item) {
      const items = [];
      for (let page = 1; page <= MAX_PAGES; page++) {
        const query = page === 1 ? '' : `${path.includes('?') ? '&' : '?'}page=${page}`;
        const answer = await call('GET', path + query);
        items.push(...parseResult(path, z.array(item), answer.result ?? []));
        if (page >= pageCount(answer)) break;
      }
      return items;
    },
    send: async (method, path, { body, result }) =>
      parseResult(path, result, (await call(method, path, body)).result),
  };
}

function parseResult<T>(path: string, schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new CloudflareError(`${path}: the answer does not match Cloudflare's published schema`, 200, []);
}

function parseEnvelope(name: string, status: number, text: string): Envelope {
  const answer = envelope.safeParse(text.length <= MAX_ANSWER_BYTES ? parseJson(text) : null);
  if (!answer.success) {
    throw new CloudflareError(
      `${name}: status ${status}, and the body is not an answer of Cloudflare's API`,
      status,
      [],
    );
  }
  const { success, errors } = answer.data;
  if (success) return answer.data;
  const reasons = errors.map(({ code, message }) => `${message} (${code})`).join('; ');
  throw new CloudflareError(
    `${name}: ${status} ${reasons || 'without a reason'}`,
    status,
    errors.map(({ code }) => code),
  );
}

/** KV lists have no `total_pages`. */
function pageCount({ result_info: info }: Envelope): number {
  if (info?.total_pages !== undefined) return info.total_pages;
  return info?.total_count && info.per_page ? Math.ceil(info.total_count / info.per_page) : 1;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
