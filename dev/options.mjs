// The options of `npm start`, in plain JavaScript: they are judged before anything is installed.
import { parseArgs } from 'node:util';

/** Wrong use of the command line. The message is for a person; the exit code is 2. */
export class UsageError extends Error {
  name = 'UsageError';
}

export const HELP = `npm start -- [options]     the whole system on this machine; Ctrl-C ends it

  --config FILE         the services to balance (default acgs-lb.yaml)
  --no-demo             the config's instances run already: start none
  --embedded            no Redis, no Postgres: in-memory live state, PGlite for history
  --no-install          install nothing; say what is missing
  --port-offset N       add N to every port the stack listens on (and to its demo instances')
  --state-dir DIR       where secrets, history and stack.json live (default .acgs)
  --kv-lag DURATION     the local KV shows changes this late, as the real one does (60s)
  --kv-down             the local KV fails every call
  --simulate-clients    take the client's address from the header x-acgs-sim-client
  --edge KIND           miniflare (default, fast) or wrangler (wrangler dev)
  --help                this text
`;

const SPEC = {
  config: { type: 'string', default: 'acgs-lb.yaml' },
  'no-demo': { type: 'boolean', default: false },
  embedded: { type: 'boolean', default: false },
  'no-install': { type: 'boolean', default: false },
  'port-offset': { type: 'string', default: '0' },
  'state-dir': { type: 'string' },
  'kv-lag': { type: 'string' },
  'kv-down': { type: 'boolean', default: false },
  'simulate-clients': { type: 'boolean', default: false },
  edge: { type: 'string', default: 'miniflare' },
  help: { type: 'boolean', default: false },
};

/** Throws UsageError naming the option, what was given and what may be given. */
export function parseOptions(argv, env = process.env) {
  const values = parse(argv);
  const wrangler = values.edge === 'wrangler';
  if (!wrangler && values.edge !== 'miniflare') refuse('--edge', values.edge, 'miniflare or wrangler');
  const kvLagMs = values['kv-lag'] === undefined ? 0 : durationMs(values['kv-lag']);
  if (wrangler && (kvLagMs > 0 || values['kv-down'])) {
    throw new UsageError('--kv-lag and --kv-down work with --edge miniflare only');
  }
  return {
    config: values.config,
    demo: !values['no-demo'],
    embedded: values.embedded,
    noInstall: values['no-install'],
    portOffset: offset(values['port-offset']),
    stateDir: values['state-dir'] ?? (env.ACGS_STATE_DIR || '.acgs'),
    kvLagMs,
    kvDown: values['kv-down'],
    simulateClients: values['simulate-clients'],
    edge: values.edge,
    help: values.help,
  };
}

function parse(argv) {
  try {
    return parseArgs({ args: argv, options: SPEC, strict: true, allowPositionals: false }).values;
  } catch (cause) {
    // Node adds advice after the first sentence, and calls `--port-offset -1` ambiguous.
    const [said = ''] = cause.message.split(/\. |\.?\n/);
    const plain = said.replace('is ambiguous', 'must not begin with "-"');
    throw new UsageError(`${plain}; npm start -- --help lists the options`, { cause });
  }
}

function refuse(option, value, allowed) {
  throw new UsageError(`${option} ${JSON.stringify(value)} is not allowed; expected ${allowed}`);
}

function offset(text) {
  const value = Number(text);
  if (!/^\d{1,5}$/.test(text) || value > 50_000)
    refuse('--port-offset', text, 'a whole number from 0 to 50000');
  return value;
}

function durationMs(text) {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  if (!match) refuse('--kv-lag', text, 'a duration such as 500ms, 60s or 2m');
  return Number(match[1]) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2]];
}
