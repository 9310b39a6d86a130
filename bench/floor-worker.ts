/** A pass-through Worker with one additional operation, to measure the least cost of that operation. */
interface FloorVariant {
  readonly what: string;
  /** Statements before `fetch`. */
  readonly before?: string;
  /** Arguments of `fetch`. Default: a copy of the fields with the envelope added. */
  readonly args?: string;
  /** Statements that return `upstream`. Without them the promise of `fetch` is returned. */
  readonly after?: string;
}

/** As long as a real envelope. */
const ENVELOPE = `${'h'.repeat(36)}.${'c'.repeat(80)}.${'s'.repeat(86)};127.0.0.1;http;127.0.0.1:8787;4e3c1cf8-3f0e-4d5f-1a2b;api;;00-${'0'.repeat(32)}-${'0'.repeat(16)}-00;"per-ip"%3Br=999999999%3Bt=10;"per-ip"%3Bq=1000000000%3Bw=10`;

const WITH_ENVELOPE = `const sent = new Request(url, { method: request.method, headers: request.headers, redirect: 'manual' });
sent.headers.set('x-acgs-edge', '${ENVELOPE}');`;

const one = (what: string, before: string, after?: string): FloorVariant => ({
  what: `E and ${what}`,
  before: `${WITH_ENVELOPE} ${before}`,
  args: 'sent',
  ...(after === undefined ? {} : { after }),
});

/** As many fields as the edge sets on a direct request and on its answer. */
const fields = (count: number): string =>
  Array.from({ length: count }, (_, n) => `headers.set('x-field-${n}', '${'v'.repeat(24)}');`).join(' ');

export const FLOOR_VARIANTS: readonly FloorVariant[] = [
  { what: 'nothing else', args: 'url, request' },
  {
    what: 'a copy of the fields',
    args: "url, { method: request.method, headers: new Headers(request.headers), redirect: 'manual' }",
  },
  { what: 'E: a new Request with the envelope', before: WITH_ENVELOPE, args: 'sent' },
  one('a list of the fields', 'kept = [...request.headers];'),
  one('ten reads of a field', "for (let n = 0; n < 10; n++) kept = request.headers.get('cookie');"),
  one('a timer', 'setTimeout(() => {}, 100);'),
  one('an AbortController', 'kept = new AbortController().signal;'),
  one('`request.body`', 'kept = request.body;'),
  one('`waitUntil`', 'ctx.waitUntil(Promise.resolve());'),
  one('ten reads of the clock', 'for (let n = 0; n < 10; n++) kept = Date.now();'),
  one('an `await`', '', 'return upstream;'),
  one(
    'two fields of the answer',
    '',
    "const { headers } = upstream; kept = headers.get('x-acgs-instance') ?? headers.get('cache-control'); return upstream;",
  ),
  one('a copy of the answer', '', 'return new Response(upstream.body, upstream);'),
  one(
    'a copy of the answer with one field',
    '',
    "const copy = new Response(upstream.body, upstream); copy.headers.set('x-a', 'b'); return copy;",
  ),
  {
    what: 'a new Request with six fields',
    before: `const sent = new Request(url, { method: request.method, headers: request.headers, redirect: 'manual' });
const { headers } = sent; ${fields(6)}`,
    args: 'sent',
  },
  {
    what: 'a copy of the answer with seven fields',
    args: 'url, request',
    after: `const copy = new Response(upstream.body, upstream); const { headers } = copy; ${fields(7)} return copy;`,
  },
];

/** One module, because valgrind has address space for a few isolates only. The first path segment is the variant's index. */
export function floorWorker(backend: string): string {
  const variants = FLOOR_VARIANTS.map(
    ({ before = '', args = '', after }) =>
      `${after === undefined ? '' : 'async '}(request, url, ctx) => { ${before} ${
        after === undefined ? `return fetch(${args});` : `const upstream = await fetch(${args}); ${after}`
      } }`,
  );
  return `let kept;
const variants = [${variants.join(',\n')}];
export default { fetch(request, env, ctx) {
  const { url } = request;
  const start = url.indexOf('/', 8) + 1;
  const end = url.indexOf('/', start);
  return variants[Number(url.slice(start, end))](request, '${backend}' + url.slice(end), ctx);
} };`;
}
