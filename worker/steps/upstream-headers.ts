import { ENVELOPE_HEADER, encodeEnvelope } from '../../shared/envelope.ts';
import type { SnapshotHeaders } from '../../shared/snapshot/snapshot.ts';
import { formatTraceparent } from '../../shared/trace-context.ts';
import type { IncomingRequest } from '../incoming-request.ts';

/** What an attempt sends to the gateway, besides the request. */
interface GatewayMessage {
  readonly token: string;
  readonly spanId: string;
  /** The instance to use. Null: the gateway picks. */
  readonly target: string | null;
}

/** What an attempt sends to an instance, besides the request. */
interface ProxyFields {
  readonly spanId: string;
  readonly wanted: Pick<SnapshotHeaders, 'via' | 'forwarded'>;
}

/**
 * Adds the envelope, for a gateway that trusts the edge. The gateway adds the fields of a proxy, because each field
 * that the Worker adds costs 2 % of its throughput.
 */
export function addEnvelope(
  headers: Headers,
  incoming: IncomingRequest,
  { token, spanId, target }: GatewayMessage,
): void {
  const { clientAddress, proto, host, requestId, service, trace, rateLimitFields } = incoming;
  const envelope = encodeEnvelope(token, {
    client: clientAddress,
    proto,
    host,
    requestId,
    service,
    target,
    traceparent: formatTraceparent(trace, spanId),
    rateLimit: rateLimitFields?.limit ?? null,
    rateLimitPolicy: rateLimitFields?.policy ?? null,
  });
  headers.set(ENVELOPE_HEADER, envelope);
}

/** Adds the fields of a proxy, for an instance, or for a gateway that does not know the edge. */
export function addProxyFields(
  headers: Headers,
  incoming: IncomingRequest,
  { spanId, wanted }: ProxyFields,
): void {
  const { clientAddress: client, proto, host, requestId, trace } = incoming;
  // Appended to the client's own entries: a reader may trust only the last one.
  headers.append('x-forwarded-for', client);
  if (wanted.forwarded) {
    const node = client.includes(':') ? `"[${client}]"` : client;
    headers.append('forwarded', `for=${node};host="${host}";proto=${proto}`);
  } else if (incoming.fields.names.includes('forwarded')) headers.delete('forwarded');
  if (wanted.via) headers.append('via', '1.1 acgs-lb');
  // These replace the client's own.
  headers.set('x-forwarded-proto', proto);
  headers.set('x-forwarded-host', host);
  headers.set('x-request-id', requestId);
  headers.set('traceparent', formatTraceparent(trace, spanId));
}
