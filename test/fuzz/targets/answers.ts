import assert from 'node:assert/strict';
import { z } from 'zod';
import { CloudflareError, createCloudflareApi } from '../../../agent/cli/cloudflare/api.ts';
import { HttpSyntaxError } from '../../../agent/probes/errors.ts';
import { ResponseReader } from '../../../agent/probes/http1/response-reader.ts';
import { grpcHealthError } from '../../../agent/probes/http2/grpc.ts';
import { type FuzzTarget, utf8 } from '../target.ts';

/** The response as one text, or the error. `sizes`: of the pieces in which the bytes arrive. */
function readResponse(input: string, method: string, sizes: readonly number[]): string {
  const reader = new ResponseReader(method, true);
  const bytes = Buffer.from(input, 'latin1');
  try {
    let offset = 0;
    for (let at = 0; offset < bytes.length && !reader.ended; at++) {
      const end = offset + (sizes[at % sizes.length] ?? 1);
      // The reader must not keep the bytes: the next read overwrites them.
      const piece = Buffer.from(bytes.subarray(offset, end));
      reader.read(piece);
      piece.fill(0);
      offset = end;
    }
    const complete = reader.close();
    assert(!reader.reusable || complete || reader.status === 0 || !reader.ended);
    assert(reader.status === 0 || (reader.status >= 101 && reader.status <= 999));
    assert(reader.bodyBytes <= bytes.length);
    return JSON.stringify([complete, reader.status, reader.body]);
  } catch (error) {
    if (!(error instanceof HttpSyntaxError)) throw error;
    return 'error';
  }
}

const probeAnswer: FuzzTarget = {
  name: 'probe-answer',
  holds:
    'the response to a probe: an error of its syntax, or the same response however its bytes are divided',
  start: () => (input) => {
    for (const method of ['GET', 'HEAD']) {
      const whole = readResponse(input, method, [Number.MAX_SAFE_INTEGER]);
      for (const sizes of [[1], [7, 1, 64]]) assert.equal(readResponse(input, method, sizes), whole);
    }
  },
};

const grpcHealth: FuzzTarget = {
  name: 'grpc-health',
  holds: 'the answer of a gRPC health check: healthy only for SERVING, else a short reason',
  start: () => (input) => {
    const body = new TextDecoder().decode(Buffer.from(input, 'latin1'));
    const error = grpcHealthError({ httpStatus: 200, grpcStatus: '0', body });
    if (error === null) assert(body.startsWith('\0\0\0\0') && body.slice(5, 7) === '\b\x01');
    else assert(error.length < 100);
    assert.notEqual(grpcHealthError({ httpStatus: 200, grpcStatus: input, body: '' }), null);
  },
};

const ACCOUNTS = z.object({ id: z.string() });

const cloudflareAnswer: FuzzTarget = {
  name: 'cloudflare-answer',
  holds: "an answer of Cloudflare's API: the result, or an error that names the call; a list has an end",
  start: () => async (input) => {
    let calls = 0;
    const text = utf8(input);
    const api = createCloudflareApi({
      token: 'secret-token',
      baseUrl: 'https://api.invalid',
      fetch: async () => {
        calls++;
        return new Response(text);
      },
    });
    const result = async (call: Promise<unknown>): Promise<void> => {
      try {
        await call;
      } catch (error) {
        if (!(error instanceof CloudflareError)) throw error;
        assert.match(error.message, /accounts/);
      }
    };
    await result(api.list('/accounts', ACCOUNTS));
    assert(calls <= 50);
    await result(api.get('/accounts/x', ACCOUNTS));
    await result(api.send('POST', '/accounts', { body: {}, result: ACCOUNTS }));
  },
};

export const ANSWER_TARGETS: readonly FuzzTarget[] = [probeAnswer, grpcHealth, cloudflareAnswer];
