// The options of `npm start`. Plain JavaScript, because it runs before packages are installed.
import { parseArgs } from 'node:util';

/** Wrong use of the command line. The exit code is 2. */
export class UsageError extends Error {
  name = 'UsageError';
}

export const HELP = `npm start -- [options]     run the whole system on this machine until Ctrl-C

  --config FILE         configuration (default acgs-lb.yaml)
  --no-demo             start no demo instances: the configured ones already run
  --embedded            run without Redis and Postgres: live state in memory, history in PGlite
  --no-install          install nothing; print what is missing
  --port-offset N       add N to every port of the stack and of its demo instances
  --state-dir DIR       folder for secrets, history and stack.json (default .acgs)
  --kv-lag DURATION     delay changes in the local KV, for example 60s as in real KV
  --kv-down             fail every call to the local KV
  --simulate-clients    take the client address from the header x-acgs-sim-client
  --edge KIND           miniflare (default, fast) or wrangler (wrangler dev)
  --help                print this text
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

/** Throws UsageError with the option, its value and the allowed values. */
export function parseOptions(argv, env = process.env) {
  const values = parse(argv);
  const wrangler = values.edge === 'wrangler';
  if (!wrangler && values.edge !== 'miniflare') rejectValue('--edge', values.edge, 'miniflare or wrangler');
  const kvLagMs = values['kv-lag'] === undefined ? 0 : durationMs(values['kv-lag']);
  if (wrangler && (kvLagMs > 0 || values['kv-down'])) {
    throw new UsageError('--kv-lag and --kv-down need --edge miniflare');
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
    const [firstSentence = ''] = cause.message.split(/\. |\.?\n/);
    const message = firstSentence.replace('is ambiguous', 'must not begin with "-"');
    throw new UsageError(`${message}; for the options: npm start -- --help`, { cause });
  }
}

function rejectValue(option, value, allowed) {
  throw new UsageError(`${option} ${JSON.stringify(value)} is not allowed; expected ${allowed}`);
}

function offset(text) {
  const value = Number(text);
  if (!/^\d{1,5}$/.test(text) || value > 50_000)
    rejectValue('--port-offset', text, 'a whole number from 0 to 50000');
  return value;
}

function durationMs(text) {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  if (!match) rejectValue('--kv-lag', text, 'a duration such as 500ms, 60s or 2m');
  return Number(match[1]) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2]];
}
