import { grpcClient, startGrpcServer } from '../harness/grpc.ts';
import { type Application, type CheckContext, mustEqual, nothingMissing } from './application.ts';

const NO_TRAILERS =
  'the runtime of the edge drops trailers; the client gets `UNIMPLEMENTED` with this reason';

/** The local runtime takes only HTTP/1.1, so a gRPC client cannot connect to it. test/integration/grpc.test.ts has a proxy. */
async function callEdge({ url }: CheckContext): Promise<void> {
  const headers = { 'content-type': 'application/grpc', te: 'trailers' };
  const response = await fetch(`${url}/test.Echo/Name`, { method: 'POST', headers, body: Buffer.alloc(5) });
  await response.arrayBuffer();
  mustEqual(response.headers.get('grpc-status'), '0', response.headers.get('grpc-message') ?? 'grpc-status');
}

async function call(context: CheckContext): Promise<void> {
  if (context.way !== 'gateway') return callEdge(context);
  const client = grpcClient(context.url);
  const names = await Promise.all(Array.from({ length: 10 }, () => client.call('/test.Echo/Name')));
  mustEqual(
    names.every((name) => /^grpc-[12]$/.test(name)),
    true,
    names.join(),
  );
  mustEqual(
    (await client.call('/test.Echo/Fail')).replace(/\d(?= refuses)/, 'N'),
    '9 grpc-N refuses',
    'error',
  );
  client.close();
}

async function stream(context: CheckContext): Promise<void> {
  if (context.way !== 'gateway') return callEdge(context);
  const client = grpcClient(context.url);
  const texts = ['a', 'b'.repeat(1_000_000), 'c'];
  mustEqual((await client.chat(texts)).join() === texts.join(), true, 'echoes');
  client.close();
}

const known = { error: /gRPC cannot pass the edge.*"12"/, reason: NO_TRAILERS };
const fails = { direct: known, edge: known };

export const GRPC: Application = {
  id: 'grpc',
  name: 'gRPC (`@grpc/grpc-js`)',
  needs: 'the gateway, with [`protocol: http2`](haproxy.md#grpc-and-http2)',
  service: 'protocol: http2',
  missing: nothingMissing,
  start: (name) => startGrpcServer(name),
  checks: [
    { what: 'calls and their errors', run: call, fails },
    { what: 'streams in both directions', run: stream, fails },
  ],
};
