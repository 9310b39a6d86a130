import type { StackFile } from '../../dev/stack/stack-file.ts';

export interface EdgeResponse {
  status: number;
  instance: string | null;
  headers: Headers;
  body: { service?: string; instance_id?: string; path?: string; [key: string]: unknown };
}

/** Sends one request through the edge with a simulated client address (the stack runs with --simulate-clients). */
export async function requestEdge(
  stack: StackFile,
  path: string,
  { client = '198.51.100.1', headers = {}, method = 'GET', via = 'edge' }: EdgeRequestOptions = {},
): Promise<EdgeResponse> {
  const base = via === 'edge' ? stack.edge : stack.gateway;
  const response = await fetch(`${base}${path}`, {
    method,
    // A keep-alive connection can be closed by the server while this process is busy; that is not an error of the system.
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
