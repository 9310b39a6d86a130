import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';

/**
 * A Cloudflare account behind an API server. It accepts only requests that follow the schema that Cloudflare publishes
 * (OpenAPI, github.com/cloudflare/api-schemas), and answers in its form. Two fields are not published: that of the failure
 * mode of routes, and wrangler's `code_update_strategy`.
 */

const name = z.string().regex(/^[a-z0-9][a-z0-9-]*$/);
const bindingBody = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('plain_text'), name: z.string(), text: z.string() }),
  z.strictObject({ type: z.literal('secret_text'), name: z.string(), text: z.string().min(1) }),
  z.strictObject({ type: z.literal('kv_namespace'), name: z.string(), namespace_id: z.string().length(32) }),
  z.strictObject({ type: z.literal('durable_object_namespace'), name: z.string(), class_name: z.string() }),
  z.strictObject({ type: z.literal('vpc_service'), name: z.string(), service_id: z.string() }),
]);
const migrationSteps = z.strictObject({ new_sqlite_classes: z.array(z.string()).optional() });
const scriptMetadata = z.strictObject({
  main_module: z.string(),
  bindings: z.array(bindingBody),
  compatibility_date: z.iso.date(),
  compatibility_flags: z.array(z.string()),
  migrations: z
    .strictObject({ old_tag: z.string().optional(), new_tag: z.string(), steps: z.array(migrationSteps) })
    .optional(),
  keep_bindings: z.array(z.string()).optional(),
  observability: z.object({ enabled: z.boolean() }),
  code_update_strategy: z.unknown().optional(),
});
const deploymentBody = z.strictObject({
  strategy: z.literal('percentage'),
  versions: z.tuple([z.strictObject({ version_id: z.string(), percentage: z.literal(100) })]),
  annotations: z.record(z.string(), z.string()).optional(),
  code_update_strategy: z.unknown().optional(),
});
const routeBody = z.strictObject({
  pattern: z.string(),
  script: name,
  request_limit_fail_open: z.boolean().optional(),
});
const namespaceBody = z.strictObject({ title: z.string().min(1).max(512) });
const domainBody = z.strictObject({
  hostname: z.string(),
  service: name,
  zone_id: z.string().length(32).optional(),
});
const subdomainBody = z.strictObject({ enabled: z.boolean(), previews_enabled: z.boolean().optional() });

interface FakeScript {
  bindings: z.output<typeof bindingBody>[];
  migrationTag: string | null;
  subdomain: boolean;
  uploads: number;
}

interface FakeRoute {
  id: string;
  pattern: string;
  script: string;
  request_limit_fail_open: boolean;
}

export const ACCOUNT_ID = '023e105f4ecef8ad9ca31a8372d0c353';
export const ZONE_ID = 'aaaa105f4ecef8ad9ca31a8372d0c353';
export const API_TOKEN = 'secret-api-token-0123456789-0123456789-ab';

class ApiFailure extends Error {
  readonly status: number;
  readonly code: number;

  constructor(status: number, code: number, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

interface ApiCall {
  method: string;
  path: string;
  query: URLSearchParams;
  body: () => Promise<unknown>;
  form: () => Promise<FormData>;
}

export class CloudflareAccount {
  readonly namespaces = new Map<string, string>();
  readonly scripts = new Map<string, FakeScript>();
  readonly domains = new Map<string, string>();
  readonly dns: { type: string; name: string; proxied: boolean }[] = [];
  routes: FakeRoute[] = [];
  zones = [{ id: ZONE_ID, name: 'example.com' }];
  /** Each call as `METHOD /path`. */
  readonly calls: string[] = [];
  /** Requests that break the published schema. */
  readonly violations: string[] = [];
  /** Fails a call instead of answering it. */
  failing: ((call: string) => [status: number, code: number, message: string] | null) | null = null;
  /** Whether Cloudflare stores the failure mode of routes. */
  storesFailureMode = true;
  /** Titles that exist but do not appear in lists. */
  readonly hiddenTitles = new Set<string>();
  readonly #versions = new Map<string, FakeScript['bindings']>();
  #ids = 0;

  async answer(call: ApiCall): Promise<{ result: unknown; info?: object }> {
    const account = call.path.startsWith(`/accounts/${ACCOUNT_ID}/`) ? call.path.slice(43) : null;
    if (call.path === '/accounts') return list([{ id: ACCOUNT_ID, name: 'Example' }]);
    if (call.path === '/zones') return list(this.zones.filter((one) => one.name === call.query.get('name')));
    if (call.path.startsWith(`/zones/${ZONE_ID}/`)) return this.#zone(call, call.path.slice(40));
    if (account === 'storage/kv/namespaces') return this.#namespaces(call);
    if (account === 'workers/domains') return this.#domains(call);
    const [, script, rest] = /^workers\/(?:scripts|services|workers)\/([^/]+)(.*)$/.exec(account ?? '') ?? [];
    if (script !== undefined) return this.#script(call, script, rest ?? '');
    throw new ApiFailure(404, 7003, `Could not route to ${call.path}`);
  }

  async #zone(call: ApiCall, path: string): Promise<{ result: unknown }> {
    const route = /^workers\/routes(?:\/(.+))?$/.exec(path);
    if (path === 'dns_records') return list(this.dns.filter((one) => one.name === call.query.get('name')));
    if (!route) throw new ApiFailure(404, 7003, `Could not route to ${path}`);
    if (call.method === 'GET') return list(this.routes);
    const body = this.#valid(call, routeBody, await call.body());
    const failOpen = this.storesFailureMode && (body.request_limit_fail_open ?? false);
    const { pattern, script } = body;
    const others = this.routes.filter(({ id }) => id !== route[1]);
    if (others.some((one) => one.pattern === pattern))
      throw new ApiFailure(409, 10020, 'A route with the same pattern already exists.');
    const made = { id: route[1] ?? this.#id(), pattern, script, request_limit_fail_open: failOpen };
    this.routes = [...others, made];
    return { result: made };
  }

  async #namespaces(call: ApiCall): Promise<{ result: unknown; info?: object }> {
    if (call.method === 'GET') {
      // Pages of one, as an account with many namespaces has.
      const all = [...this.namespaces].map(([id, title]) => ({ id, title, supports_url_encoding: true }));
      const page = Number(call.query.get('page') ?? 1);
      const info = { page, per_page: 1, count: 1, total_count: all.length };
      return { result: all.slice(page - 1, page), info };
    }
    const { title } = this.#valid(call, namespaceBody, await call.body());
    if (this.hiddenTitles.has(title) || [...this.namespaces.values()].includes(title))
      throw new ApiFailure(400, 10014, 'a namespace with this account ID and title already exists');
    const id = this.#id();
    this.namespaces.set(id, title);
    return { result: { id, title, supports_url_encoding: true } };
  }

  async #domains(call: ApiCall): Promise<{ result: unknown }> {
    const shape = (hostname: string, service: string) => ({
      id: hostname,
      hostname,
      service,
      zone_id: ZONE_ID,
    });
    if (call.method === 'GET') return list([...this.domains].map(([host, service]) => shape(host, service)));
    const { hostname, service } = this.#valid(call, domainBody, await call.body());
    if (!this.scripts.has(service))
      throw new ApiFailure(404, 10007, 'This Worker does not exist on your account.');
    if (this.dns.some((one) => one.name === hostname))
      throw new ApiFailure(409, 100117, 'Hostname already has externally managed DNS records');
    this.domains.set(hostname, service);
    return { result: shape(hostname, service) };
  }

  async #script(call: ApiCall, scriptName: string, rest: string): Promise<{ result: unknown }> {
    const isUpload =
      (call.method === 'PUT' && rest === '') || (call.method === 'POST' && rest === '/versions');
    if (isUpload) return this.#upload(call, scriptName, rest === '/versions');
    const script = this.scripts.get(scriptName);
    if (!script) throw new ApiFailure(404, 10007, 'This Worker does not exist on your account.');
    const { bindings, migrationTag, subdomain } = script;
    switch (rest) {
      case '/settings':
        return {
          result: {
            bindings: bindings.map((one) => (one.type === 'secret_text' ? { ...one, text: undefined } : one)),
          },
        };
      case '/secrets':
        return list(
          bindings
            .filter(({ type }) => type === 'secret_text')
            .map((one) => ({ name: one.name, type: one.type })),
        );
      case '/deployments':
        if (call.method === 'GET') return { result: { deployments: [] } };
        return this.#deploy(call, script);
      case '/script-settings':
        return { result: {} };
      case '/subdomain':
        if (call.method === 'POST')
          script.subdomain = this.#valid(call, subdomainBody, await call.body()).enabled;
        return { result: { enabled: script.subdomain, previews_enabled: false } };
      case '':
        return {
          result: {
            id: scriptName,
            name: scriptName,
            subdomain: { enabled: subdomain, previews_enabled: false },
            default_environment: {
              environment: 'production',
              script: { id: scriptName, migration_tag: migrationTag, last_deployed_from: 'wrangler' },
            },
          },
        };
      default:
        throw new ApiFailure(404, 7003, `Could not route to ${call.path}`);
    }
  }

  async #deploy(call: ApiCall, script: FakeScript): Promise<{ result: unknown }> {
    const { versions } = this.#valid(call, deploymentBody, await call.body());
    const version = this.#versions.get(versions[0].version_id);
    if (!version) throw new ApiFailure(404, 10007, 'This version does not exist.');
    script.bindings = version;
    return { result: { id: this.#id() } };
  }

  async #upload(call: ApiCall, scriptName: string, isVersion: boolean): Promise<{ result: unknown }> {
    const form = await call.form();
    const metadata = this.#valid(call, scriptMetadata, JSON.parse(String(form.get('metadata'))));
    const main = form.get(metadata.main_module);
    if (!(main instanceof File) || main.type !== 'application/javascript+module')
      throw new ApiFailure(400, 10021, 'No such module');
    for (const one of metadata.bindings)
      if (one.type === 'kv_namespace' && !this.namespaces.has(one.namespace_id))
        throw new ApiFailure(400, 10041, `KV namespace '${one.namespace_id}' not found`);
    const before = this.scripts.get(scriptName);
    if ((metadata.migrations?.old_tag ?? null) !== (before?.migrationTag ?? null) && metadata.migrations)
      throw new ApiFailure(400, 10079, 'Migration tag precondition failed');
    const kept = (before?.bindings ?? []).filter(
      (one) => one.type === 'secret_text' && !metadata.bindings.some((next) => next.name === one.name),
    );
    const bindings = [...metadata.bindings, ...kept];
    const id = this.#id();
    this.#versions.set(id, bindings);
    if (isVersion) return { result: { id, startup_time_ms: 3, resources: { script: { etag: 'e' } } } };
    this.scripts.set(scriptName, {
      bindings,
      migrationTag: metadata.migrations?.new_tag ?? before?.migrationTag ?? null,
      subdomain: before?.subdomain ?? true,
      uploads: (before?.uploads ?? 0) + 1,
    });
    return { result: { id: scriptName, etag: 'e', startup_time_ms: 3, deployment_id: id } };
  }

  #valid<T>(call: ApiCall, schema: z.ZodType<T>, value: unknown): T {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    this.violations.push(`${call.method} ${call.path}: ${z.prettifyError(parsed.error)}`);
    throw new ApiFailure(400, 10021, 'The request does not follow the schema.');
  }

  #id(): string {
    return String(++this.#ids).padStart(32, '0');
  }
}

const list = (result: readonly unknown[]): { result: unknown; info: object } => ({
  result,
  info: { page: 1, per_page: 50, total_pages: 1, count: result.length, total_count: result.length },
});

/** Serves the account. Returns the base URL and how to stop. */
export async function startCloudflareApi(account: CloudflareAccount) {
  const server = createServer((request, response) => {
    void respond(account, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/client/v4`,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function respond(
  account: CloudflareAccount,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const url = new URL(request.url ?? '/', 'http://api');
  const method = request.method ?? 'GET';
  const path = url.pathname.replace('/client/v4', '');
  const body = new Response(Buffer.concat(chunks), {
    headers: { 'content-type': request.headers['content-type'] ?? '' },
  });
  const send = (status: number, envelope: object) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify({ success: status < 300, errors: [], messages: [], result: null, ...envelope }),
    );
  };
  account.calls.push(`${method} ${path}`);
  try {
    if (request.headers.authorization !== `Bearer ${API_TOKEN}`)
      throw new ApiFailure(403, 9109, 'Invalid access token');
    const failure = account.failing?.(`${method} ${path}`);
    if (failure) throw new ApiFailure(...failure);
    const { result, info } = await account.answer({
      method,
      path,
      query: url.searchParams,
      body: () => body.json(),
      form: () => body.formData(),
    });
    send(200, { result, ...(info && { result_info: info }) });
  } catch (error) {
    const { status = 500, code = 1, message } = error as ApiFailure;
    send(status, { errors: [{ code, message }] });
  }
}
