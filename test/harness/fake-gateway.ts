import type { IncomingMessage, ServerResponse } from 'node:http';
import { ENVELOPE_HEADER, type EnvelopeFields, parseEnvelope } from '../../shared/envelope.ts';
import { type Origin, startOrigin } from './origin.ts';

/**
 * How an instance behind the gateway behaves; a number is the status it answers with. `unsent`: HAProxy's own 503. `full`:
 * that of an instance at its limit of connections.
 */
export type Behaviour = 'ok' | 'unsent' | 'full' | 'reset' | 'hang' | number | { readonly afterMs: number };

/** One request as it reached an instance. */
export interface GatewayAttempt {
  readonly instance: string;
  /** Whether the edge named the instance. Otherwise the gateway picked it. */
  readonly named: boolean;
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** Whether the edge has closed the connection before there was an answer. */
  cancelled: boolean;
}

export interface FakeGateway extends Origin {
  /** In order of arrival, without edge reports. */
  readonly attempts: GatewayAttempt[];
  /** The instances to pick from, and how each one behaves. */
  serve(instances: readonly string[], behaviour?: (instance: string) => Behaviour): void;
}

/**
 * Answers like HAProxy: uses the instance that the edge names, else the next one in turn, and names it in the answer.
 * HAProxy itself is tested in test/integration.
 */
export async function startFakeGateway(name: string, wanted?: number): Promise<FakeGateway> {
  const origin = await startOrigin(name, wanted);
  const attempts: GatewayAttempt[] = [];
  let next = 0;
  return {
    ...origin,
    attempts,
    serve(instances, behaviour = () => 'ok') {
      next = 0;
      origin.answer((request, response, body) => {
        const { method = '', url = '', headers } = request;
        if (url === '/__acgs/edge-reports') return void response.end();
        const target = envelopeOf(headers)?.target ?? null;
        const instance = target ?? instances[next++ % instances.length] ?? '';
        const named = target !== null;
        const attempt = { instance, named, method, url, headers, body, cancelled: false };
        attempts.push(attempt);
        response.once('close', () => {
          attempt.cancelled = !response.writableEnded;
        });
        behave(response, instance, behaviour(instance));
      });
    },
  };
}

/** What the edge tells the gateway; null without an edge token. */
export function envelopeOf(headers: IncomingMessage['headers']): EnvelopeFields | null {
  return parseEnvelope(String(headers[ENVELOPE_HEADER] ?? ''))?.fields ?? null;
}

function behave(response: ServerResponse, instance: string, outcome: Behaviour): void {
  if (outcome === 'hang') return;
  if (outcome === 'reset') return void response.socket?.destroy();
  // Only an instance's answer has its name.
  if (outcome === 'unsent') return void response.writeHead(503, { 'x-acgs-unsent': '1' }).end();
  if (outcome === 'full') {
    const headers = { 'x-acgs-unsent': '1', 'x-acgs-full': '1', 'x-acgs-instance': instance };
    return void response.writeHead(503, headers).end();
  }
  const answer = (status: number): void => {
    response.writeHead(status, { 'x-acgs-instance': instance });
    response.end(JSON.stringify({ name: instance }));
  };
  if (typeof outcome === 'object') setTimeout(answer, outcome.afterMs, 200);
  else answer(outcome === 'ok' ? 200 : outcome);
}
