import { readFileSync } from 'node:fs';
import {
  Client,
  credentials,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServiceError,
  status,
} from '@grpc/grpc-js';

const GRPC_STATUS = { serving: 1, 'not serving': 2 } as const;

export interface GrpcServer {
  url: string;
  /** What the server's health service says; null: an error of the call. */
  setHealth(health: keyof typeof GRPC_STATUS | null): void;
  stop(): Promise<void>;
}

type Bytes = Buffer<ArrayBufferLike>;
const asIs = (bytes: Bytes): Bytes => bytes;
const method = (path: string, streams: boolean): MethodDefinition<Bytes, Bytes> => ({
  path,
  requestStream: streams,
  responseStream: streams,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
});

/** A gRPC server with a unary call that says its name, one that fails, a stream that echoes, and the health service. */
export async function startGrpcServer(
  name: string,
  { tls, health = true }: { tls?: { cert: string; key: string }; health?: boolean } = {},
): Promise<GrpcServer> {
  let current: keyof typeof GRPC_STATUS | null = 'serving';
  const server = new Server();
  server.addService(
    {
      Name: method('/test.Echo/Name', false),
      Fail: method('/test.Echo/Fail', false),
      Chat: method('/test.Echo/Chat', true),
    },
    {
      Name: (_: unknown, reply: (error: null, value: Bytes) => void) => reply(null, Buffer.from(name)),
      Fail: (_: unknown, reply: (error: Partial<ServiceError>) => void) =>
        reply({ code: status.FAILED_PRECONDITION, details: `${name} refuses` }),
      Chat: (call: NodeJS.ReadWriteStream) => {
        call.on('data', (bytes: Bytes) => call.write(bytes)).on('end', () => call.end());
      },
    },
  );
  if (health) {
    server.addService(
      { Check: method('/grpc.health.v1.Health/Check', false) },
      {
        Check: (_: unknown, reply: (error: Partial<ServiceError> | null, value?: Bytes) => void) => {
          if (current === null) reply({ code: status.NOT_FOUND, details: 'unknown' });
          else reply(null, Buffer.from([8, GRPC_STATUS[current]]));
        },
      },
    );
  }
  const security = tls
    ? ServerCredentials.createSsl(null, [
        { cert_chain: readFileSync(tls.cert), private_key: readFileSync(tls.key) },
      ])
    : ServerCredentials.createInsecure();
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', security, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    setHealth(next) {
      current = next;
    },
    async stop() {
      server.forceShutdown();
    },
  };
}

export interface GrpcClient {
  /** The reply, or the code and text of the error. */
  call(path: string): Promise<string>;
  /** Sends the texts over one stream, each after the echo of the one before it. */
  chat(texts: readonly string[]): Promise<string[]>;
  close(): void;
}

/** `url` without TLS, so HTTP/2 by prior knowledge. */
export function grpcClient(url: string): GrpcClient {
  const client = new Client(new URL(url).host, credentials.createInsecure());
  return {
    call: (path) =>
      new Promise((resolve) => {
        client.makeUnaryRequest(path, asIs, asIs, Buffer.from('request'), (error, reply) =>
          resolve(error ? `${error.code} ${error.details}` : String(reply)),
        );
      }),
    chat: (texts) =>
      new Promise((resolve, reject) => {
        const echoes: string[] = [];
        const stream = client.makeBidiStreamRequest('/test.Echo/Chat', asIs, asIs);
        const next = (): void => {
          const text = texts[echoes.length];
          if (text === undefined) stream.end();
          else stream.write(Buffer.from(text));
        };
        stream
          .on('data', (bytes: Bytes) => {
            echoes.push(String(bytes));
            next();
          })
          .on('error', reject)
          .on('end', () => resolve(echoes));
        next();
      }),
    close: () => client.close(),
  };
}
