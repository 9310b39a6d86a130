import type { ClientRequest, IncomingMessage } from 'node:http';

export interface HttpRequestOptions {
  method?: string | undefined;
  headers?: Readonly<Record<string, string>> | undefined;
  body?: string | undefined;
  /** Ends the request. Its reason becomes the error. */
  signal?: AbortSignal | undefined;
}

export interface HttpResponse {
  status: number;
  /** A field's value; undefined when the response does not have it. */
  header(name: string): string | undefined;
  /** The decoded body. Read it once, in pieces or as text. */
  body: AsyncIterable<Uint8Array>;
  text(): Promise<string>;
}

export type SendHttpRequest = (url: string, options?: HttpRequestOptions) => Promise<HttpResponse>;

/** One HTTP request. `fetch` would take as long to load as Node takes to start. */
export const sendHttpRequest: SendHttpRequest = async (
  url,
  { method = 'GET', headers = {}, body, signal } = {},
) => {
  const target = new URL(url);
  // An import would evaluate every export of node:http, and one of them loads undici.
  const module = process.getBuiltinModule(target.protocol === 'https:' ? 'node:https' : 'node:http');
  const options = { method, headers: { ...headers, 'accept-encoding': 'gzip' }, ...(signal && { signal }) };
  const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent: ClientRequest = module.request(target, options, resolve);
    sent.once('error', (error) => reject(signal?.aborted ? signal.reason : error));
    sent.end(body);
  });
  return toResponse(incoming);
};

function toResponse(incoming: IncomingMessage): HttpResponse {
  const header = (name: string): string | undefined => incoming.headers[name]?.toString();
  const body = header('content-encoding') === 'gzip' ? unzip(incoming) : incoming;
  return {
    status: incoming.statusCode ?? 0,
    header,
    body,
    async text() {
      const chunks: Uint8Array[] = [];
      for await (const chunk of body) chunks.push(chunk);
      return Buffer.concat(chunks).toString('utf8');
    },
  };
}

function unzip(incoming: IncomingMessage): AsyncIterable<Uint8Array> {
  const gunzip = process.getBuiltinModule('node:zlib').createGunzip();
  incoming.once('error', (error) => gunzip.destroy(error));
  return incoming.pipe(gunzip);
}
