import type { Agent, Dispatcher } from 'undici';
import { valueText } from '../../../shared/config/problem.ts';
import { errorMessage } from '../../../shared/error-message.ts';
import { MAX_ANSWER_BYTES, SourceError } from '../source.ts';

/** Requests to one server: an origin, or `unix://` with the path of a socket. */
export interface SourceClient {
  /** The parsed JSON of a 200 answer, with its header fields. Throws a SourceError. */
  getJson(path: string, options: GetOptions): Promise<JsonAnswer>;
  /** Resolves when the first bytes of a 200 answer arrive; then closes it. */
  firstBytes(path: string, options: GetOptions): Promise<void>;
  close(): void;
}

export interface JsonAnswer {
  body: unknown;
  headers: Dispatcher.ResponseData['headers'];
}

export interface GetOptions {
  signal: AbortSignal;
  headers?: Record<string, string>;
}

export function createSourceClient(server: string): SourceClient {
  const socketPath = server.startsWith('unix://') ? server.slice('unix://'.length) : undefined;
  const origin = socketPath === undefined ? new URL(server).origin : 'http://localhost';
  // The signal of each request is the only deadline: Consul answers a blocking query only when the list changes.
  const openDispatcher = async (): Promise<Agent> =>
    new (await import('undici')).Agent({
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: 5_000, ...(socketPath !== undefined && { socketPath }) },
    });
  let dispatcher: Promise<Agent> | null = null;

  async function get(path: string, { signal, headers = {} }: GetOptions): Promise<Dispatcher.ResponseData> {
    try {
      dispatcher ??= openDispatcher();
      const { request } = await import('undici');
      return await request(`${origin}${path}`, { dispatcher: await dispatcher, signal, headers });
    } catch (error) {
      throw new SourceError(`${server}: ${errorMessage(error)}`, { cause: error });
    }
  }

  async function throwStatus({ statusCode, body }: Dispatcher.ResponseData): Promise<never> {
    const text = await readText(body).catch(() => '');
    throw new SourceError(`${server}: status ${statusCode}${text ? `: ${valueText(text.trim())}` : ''}`);
  }

  return {
    async getJson(path, options) {
      const response = await get(path, options);
      if (response.statusCode !== 200) return throwStatus(response);
      const text = await readText(response.body).catch((error: unknown) => {
        throw new SourceError(`${server}: ${errorMessage(error)}`, { cause: error });
      });
      try {
        return { body: JSON.parse(text), headers: response.headers };
      } catch {
        throw new SourceError(`${server}: the answer ${valueText(text)} is not JSON`);
      }
    },
    async firstBytes(path, options) {
      const response = await get(path, options);
      if (response.statusCode !== 200) return throwStatus(response);
      for await (const _ of response.body) {
        response.body.destroy();
        return;
      }
      throw new SourceError(`${server}: the stream ended`);
    },
    close: () => void dispatcher?.then((opened) => opened.destroy()),
  };
}

async function readText(body: Dispatcher.ResponseData['body']): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) {
      body.destroy();
      throw new SourceError(`the answer is larger than ${MAX_ANSWER_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
