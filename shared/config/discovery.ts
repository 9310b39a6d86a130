import { z } from 'zod';
import { type ConfigProblem, valueAt } from './problem.ts';
import { duration, positiveInt, secret } from './scalars.ts';

/** The sources that a service may take its instances from. */
export const DISCOVERY_KINDS = ['dns', 'file', 'consul', 'docker'] as const;
export type DiscoveryKind = (typeof DISCOVERY_KINDS)[number];

const name = z
  .string()
  .regex(/^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?\.?$/, 'a DNS name such as web.internal');

export const discoverySection = z.strictObject({
  dns: name.optional().meta({
    title: 'DNS name: A and AAAA records with port, or SRV records if it starts with "_"',
  }),
  file: z
    .string()
    .regex(/^\/[^\0\r\n]*$/, 'an absolute path')
    .optional()
    .meta({ title: 'YAML or JSON file with a list of instances; read again when it changes' }),
  consul: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, 'the name of a Consul service')
    .optional()
    .meta({ title: 'Service in the catalog of Consul; instances with a critical check are left out' }),
  docker: z
    .record(
      z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/, 'a label'),
      z
        .string()
        .max(256)
        .regex(/^[^\0\r\n]*$/, 'text without line breaks'),
    )
    .refine((labels) => Object.keys(labels).length > 0, { error: 'at least one label' })
    .optional()
    .meta({ title: 'Running Docker containers with all of these labels' }),
  server: z.string().min(1).max(200).optional().meta({
    title:
      "Where the source answers: a DNS server (default: the system's), Consul (http://127.0.0.1:8500), or Docker (unix:///var/run/docker.sock)",
  }),
  token: secret
    .optional()
    .meta({ title: `Variable with the ACL token of Consul, such as $\{CONSUL_HTTP_TOKEN}` }),
  tag: z.string().min(1).max(128).optional().meta({ title: 'Only Consul instances with this tag' }),
  network: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .meta({ title: 'Docker network whose addresses are used; required for containers in several networks' }),
  port: positiveInt.max(65_535).optional().meta({
    title: 'Port of the instances; required for A and AAAA records, and for containers with several ports',
  }),
  scheme: z.enum(['http', 'https']).default('http').meta({ title: 'Protocol of the instances' }),
  interval: duration.default(10_000).meta({
    title: 'Longest time between two reads; DNS is read when its TTL ends, a file every second',
  }),
  minimum: z
    .int()
    .min(1)
    .max(500)
    .default(1)
    .meta({ title: 'A list with fewer instances removes none, and raises an alert' }),
  maximum: z
    .int()
    .min(1)
    .max(500)
    .default(100)
    .meta({ title: 'Instances taken from a list; further ones are left out, and raise an alert' }),
  drain: duration.default(30_000).meta({
    title: 'How long an instance that left the list may finish its requests before it is removed',
  }),
});

export type DiscoveryConfig = z.output<typeof discoverySection>;

/** Docker labels may be long. */
const MAX_TEXT_LENGTH = 200;

const isPresent = (value: unknown): boolean => value !== undefined;

/** The only source of a checked section, and a text such as "dns web.internal". */
export function discoverySource(config: DiscoveryConfig): { kind: DiscoveryKind; text: string } {
  const kind = DISCOVERY_KINDS.find((each) => isPresent(config[each])) ?? 'dns';
  const value = config[kind];
  const text =
    typeof value === 'object'
      ? Object.entries(value)
          .map(([label, wanted]) => `${label}=${wanted}`)
          .join(',')
      : (value ?? '');
  return { kind, text: `${kind} ${text}`.slice(0, MAX_TEXT_LENGTH) };
}

/** The keys that only some sources have. */
const ONLY_FOR: readonly (readonly [keyof DiscoveryConfig, readonly DiscoveryKind[]])[] = [
  ['server', ['dns', 'consul', 'docker']],
  ['token', ['consul']],
  ['tag', ['consul']],
  ['network', ['docker']],
  ['port', ['dns', 'docker']],
];

/** `raw` is the unchecked data, which also has sources whose values are invalid. */
export function discoveryProblems(
  config: DiscoveryConfig,
  path: ConfigProblem['path'],
  raw: unknown,
): ConfigProblem[] {
  const [kind, ...more] = DISCOVERY_KINDS.filter((each) => isPresent(valueAt(raw, [...path, each])));
  if (kind === undefined || more.length > 0) {
    const value = kind === undefined ? undefined : [kind, ...more].join(', ');
    return [{ path, value, allowed: `exactly one of ${DISCOVERY_KINDS.join(', ')}` }];
  }
  const problems: ConfigProblem[] = ONLY_FOR.filter(
    ([key, kinds]) => isPresent(config[key]) && !kinds.includes(kind),
  ).map(([key, kinds]) => ({
    path: [...path, key],
    value: config[key],
    allowed: `no value with ${kind}; it belongs to ${kinds.join(' and ')}`,
  }));
  if (config.minimum > config.maximum) {
    const allowed = `at most maximum (${config.maximum})`;
    problems.push({ path: [...path, 'minimum'], value: config.minimum, allowed });
  }
  return [...problems, ...portProblems(config, path), ...serverProblems(kind, config, path)];
}

function portProblems({ dns, port }: DiscoveryConfig, path: ConfigProblem['path']): ConfigProblem[] {
  if (dns === undefined) return [];
  const isService = dns.startsWith('_');
  if (isService === (port === undefined)) return [];
  const allowed = isService
    ? 'no value: SRV records hold the port'
    : 'a port: A and AAAA records hold none (the name of SRV records starts with "_")';
  return [{ path: [...path, 'port'], value: port, allowed }];
}

const SERVER_FORM: Readonly<
  Partial<Record<DiscoveryKind, { allowed: string; test(text: string): boolean }>>
> = {
  dns: {
    allowed: 'the IP address of a DNS server, with a port if it is not 53, such as 127.0.0.1:8600',
    test: (text) => /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?$/.test(text),
  },
  consul: { allowed: 'an http:// or https:// origin such as http://127.0.0.1:8500', test: isOrigin },
  docker: {
    allowed: 'unix:// with the path of the socket, or an http:// or https:// origin',
    test: (text) => /^unix:\/\/\/[^\0\r\n]+$/.test(text) || isOrigin(text),
  },
};

function isOrigin(text: string): boolean {
  return URL.canParse(text) && /^https?:\/\/[^/@]+\/?$/.test(text);
}

function serverProblems(
  kind: DiscoveryKind,
  { server }: DiscoveryConfig,
  path: ConfigProblem['path'],
): ConfigProblem[] {
  const form = SERVER_FORM[kind];
  if (server === undefined || !form || form.test(server)) return [];
  return [{ path: [...path, 'server'], value: server, allowed: form.allowed }];
}
