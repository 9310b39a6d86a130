import type { StackFile } from '../../dev/stack/stack-file.ts';

export interface EdgeResponse {
  status: number;
  instance: string | null;
  headers: Headers;
  body: { service?: string; instance_id?: string; path?: string; [key: string]: unknown };
}

/** One request through the edge as the client with this address (the stack runs with --simulate-clients). */
export async function requestEdge(
  stack: StackFile,
  path: string,
  { client = '198.51.100.1', headers = {}, method = 'GET', via = 'edge' }: EdgeRequestOptions = {},
): Promise<EdgeResponse> {
  const base = via === 'edge' ? stack.edge : stack.gateway;
  const response = await fetch(`${base}${path}`, {
    method,
    // One that was kept open may be closed by the other side while this process is held up: no fault of the system.
    headers: { 'x-acgs-sim-client': client, connection: 'close', ...headers },
    redirect: 'manual',
  });
  const text = await response.text();
  return {
    status: response.status,
    instance: response.headers.get('x-acgs-instance'),
    headers: response.headers,
    body: text.startsWith('{') ? (JSON.parse(text) as EdgeResponse['body']) : {},
  };
}

export interface EdgeRequestOptions {
  client?: string;
  headers?: Record<string, string>;
  method?: string;
  via?: 'edge' | 'gateway';
}
