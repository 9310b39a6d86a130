import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

/** What happens to the snapshots that the agent publishes. `ok` passes them on. */
export type RelayFault =
  | { kind: 'ok' }
  | { kind: 'down' }
  | { kind: 'hung' }
  | { kind: 'slow'; ms: number }
  | { kind: 'corrupted' }
  /** The first snapshot that passed is sent again after each new one. */
  | { kind: 'replayed' };

export interface Relay {
  url: string;
  set(fault: RelayFault): void;
  stop(): Promise<void>;
}

/** An HTTP proxy between the agents and the edge, so that publishing can fail while the edge serves clients. */
export async function startRelay(target: string, host = '127.0.0.1'): Promise<Relay> {
  let fault: RelayFault = { kind: 'ok' };
  let first: string | null = null;
  const server = createServer((incoming, outgoing) => {
    pass(incoming, outgoing).catch(() => incoming.socket.destroy());
  });

  async function pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = await readText(incoming);
    if (fault.kind === 'down') return void incoming.socket.resetAndDestroy();
    if (fault.kind === 'hung') return;
    if (fault.kind === 'slow') await sleep(fault.ms);
    await forward(incoming, outgoing, body);
  }

  async function forward(incoming: IncomingMessage, outgoing: ServerResponse, body: string): Promise<void> {
    const isSnapshot = incoming.method === 'PUT';
    const sent =
      isSnapshot && fault.kind === 'corrupted' ? body.replace(/"state":"[a-z]/g, '"state":"X') : body;
    const answer = await send(incoming, sent);
    if (isSnapshot && answer.statusCode === 200) first ??= body;
    if (isSnapshot && fault.kind === 'replayed' && first) (await send(incoming, first)).resume();
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(outgoing);
  }

  async function send(incoming: IncomingMessage, body: string): Promise<IncomingMessage> {
    const headers = { ...incoming.headers, 'content-length': String(Buffer.byteLength(body)) };
    const outgoing = request(new URL(incoming.url ?? '/', target), { method: incoming.method, headers });
    outgoing.end(body);
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    return answer;
  }

  await once(server.listen(0, host), 'listening');
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    set: (next) => {
      fault = next;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
