import { z } from 'zod';
import type { DiscoveryConfig } from '../../../shared/config/discovery.ts';
import { valueText } from '../../../shared/config/problem.ts';
import {
  entriesOf,
  type InstanceSourceReader,
  originOf,
  relativeWeight,
  type SourceList,
} from '../source.ts';
import { createSourceClient } from './http.ts';

const DEFAULT_SERVER = 'http://127.0.0.1:8500';
/** Consul adds up to a sixteenth to the time that a query waits. */
const JITTER = 1 / 16;
const ANSWER_MS = 5_000;

/** The fields that we read from an entry of GET /v1/health/service/:service. */
const entrySchema = z.object({
  Node: z.object({ Address: z.string() }),
  Service: z.object({
    ID: z.string(),
    Address: z.string(),
    Port: z.int().min(1).max(65_535),
    Weights: z.object({ Passing: z.number(), Warning: z.number() }).optional(),
  }),
  Checks: z.array(z.object({ Status: z.string() })).default([]),
});
type ConsulEntry = z.output<typeof entrySchema>;

type ConsulSettings = Pick<DiscoveryConfig, 'server' | 'tag' | 'scheme' | 'interval'> & { name: string };

/** A service of Consul's catalog, by blocking queries: an answer arrives when the list changes, or after `interval`. */
export function createConsulReader(
  { name, server = DEFAULT_SERVER, tag, scheme, interval }: ConsulSettings,
  token: string | undefined,
): InstanceSourceReader {
  const client = createSourceClient(server);
  const headers = token === undefined ? {} : { 'x-consul-token': token };
  let index = 0;
  return {
    deadlineMs: interval * (1 + JITTER) + ANSWER_MS,
    async read(signal) {
      const query = new URLSearchParams({
        ...(tag !== undefined && { tag }),
        ...(index > 0 && { index: String(index), wait: `${interval}ms` }),
      });
      const before = index;
      index = 0;
      const answer = await client.getJson(`/v1/health/service/${encodeURIComponent(name)}?${query}`, {
        signal,
        headers,
      });
      const list = parseConsulEntries(answer.body, scheme);
      index = nextIndex(before, answer.headers['x-consul-index']);
      // With an index, the next query waits at the server.
      return index > 0 ? { ...list, readAgainMs: 0 } : list;
    },
    close: client.close,
  };
}

/** The index for the next query. A missing or invalid index, or one that goes back, starts over, as Consul documents. */
export function nextIndex(before: number, header: string | string[] | undefined): number {
  const index = Number(header);
  return Number.isSafeInteger(index) && index > 0 && index >= before ? index : 0;
}

export function parseConsulEntries(body: unknown, scheme: string): SourceList {
  const problems: string[] = [];
  const entries: ConsulEntry[] = [];
  for (const [position, raw] of entriesOf(body, 'Consul answered').entries()) {
    const entry = entrySchema.safeParse(raw);
    const issue = entry.error?.issues[0];
    if (entry.success) entries.push(entry.data);
    else
      problems.push(`entry ${position + 1}: ${valueText(raw)}: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  const passing = entries.filter(({ Checks }) => !Checks.some(({ Status }) => Status === 'critical'));
  const greatest = Math.max(0, ...passing.map(weightOf));
  const instances = passing.flatMap((entry): SourceList['instances'] => {
    const url = urlOf(entry, scheme);
    if (url === null) problems.push(`${entry.Service.ID}: ${valueText(addressOf(entry))} is not an address`);
    const weight = relativeWeight(weightOf(entry), greatest);
    return url === null ? [] : [{ url, weight, priority: 1, metadata: { 'consul.id': entry.Service.ID } }];
  });
  return { instances, problems };
}

/** Consul's DNS interface uses the same weights. */
const weightOf = ({ Service: { Weights }, Checks }: ConsulEntry): number =>
  (Checks.some(({ Status }) => Status === 'warning') ? Weights?.Warning : Weights?.Passing) ?? 1;

/** A service without an address has the address of its node. */
const addressOf = ({ Node, Service }: ConsulEntry): string => Service.Address || Node.Address;

function urlOf(entry: ConsulEntry, scheme: string): string | null {
  const address = addressOf(entry);
  if (!/^[A-Za-z0-9.:-]{1,253}$/.test(address)) return null;
  try {
    return originOf(scheme, address, entry.Service.Port);
  } catch {
    return null;
  }
}
