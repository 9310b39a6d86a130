import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT, startStack, type TestStack } from '../test/harness/stack.ts';
import { type OpenApiDocument, renderApiPage } from './api-page.ts';
import { commandBlocks, rewriteForStack } from './docs-blocks.ts';

/**
 * `npm run docs:check`: runs every marked block (```sh check) of README.md, docs/operations.md and docs/incident.md, in
 * order, against a stack on its own ports. `--show` prints their output. Also compares docs/api.md with the agent's
 * OpenAPI document; `--write` updates it.
 */
const { values } = parseArgs({
  options: { show: { type: 'boolean', default: false }, write: { type: 'boolean', default: false } },
});
const pages = ['README.md', 'docs/operations.md', 'docs/incident.md'].filter((page) =>
  existsSync(join(ROOT, page)),
);
const scratch = mkdtempSync(join(tmpdir(), 'acgs-docs-'));
const stack = await startStack();
let failed = 0;
let ran = 0;
try {
  await apiReference(stack.stack.agent);
  const env = environment(stack);
  for (const page of pages) {
    for (const { line, text } of commandBlocks(readFileSync(join(ROOT, page), 'utf8'))) {
      ran++;
      const script = rewriteForStack(text, {
        ...stack,
        haproxySocket: stack.stack.haproxySocket ?? '/run/haproxy/admin.sock',
        scratch,
      });
      const { code, output } = await run(script, env);
      if (code !== 0) failed++;
      process.stdout.write(`${code === 0 ? 'ok  ' : 'FAIL'} ${page}:${line}\n`);
      if (code !== 0 || values.show) process.stdout.write(`${text}\n--- exit code ${code}\n${output}\n`);
    }
  }
} finally {
  await stack.stop();
  rmSync(scratch, { recursive: true, force: true });
}
process.stdout.write(`${ran - failed} of ${ran} checks passed\n`);
process.exitCode = failed === 0 && ran > 0 ? 0 : 1;

async function apiReference(agent: string): Promise<void> {
  const file = join(ROOT, 'docs/api.md');
  const page = renderApiPage((await (await fetch(`${agent}/v1/openapi.json`)).json()) as OpenApiDocument);
  if (values.write) writeFileSync(file, page);
  ran++;
  const current = existsSync(file) && readFileSync(file, 'utf8') === page;
  if (!current) failed++;
  process.stdout.write(`${current ? 'ok  ' : 'FAIL'} docs/api.md matches the OpenAPI document\n`);
  if (!current) process.stdout.write('  update it: npm run docs:check -- --write\n');
}

/** The variables of /etc/acgs-lb/agent.env, and the tools that the pages call. */
function environment({ stack, stateDir }: TestStack): NodeJS.ProcessEnv {
  const tools = join(scratch, 'bin');
  mkdirSync(tools);
  const tool = (name: string, text: string) => {
    writeFileSync(join(tools, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(tools, name), 0o755);
  };
  tool('acgs-lb', `exec "${process.execPath}" "${ROOT}/bin/acgs-lb.mjs" "$@"`);
  tool('npx', 'exec "$@"');
  const [user = '', password = ''] = (stack.haproxyStatsAuth ?? '').split(':');
  return {
    ...process.env,
    PATH: `${tools}:${process.env.PATH}`,
    NO_COLOR: '1',
    ACGS_STATE_DIR: stateDir,
    ACGS_TOKEN: stack.adminToken,
    EDGE_TOKEN: stack.edgeToken,
    HAPROXY_STATS_USER: user,
    HAPROXY_STATS_PASSWORD: password,
    ...(stack.redis && { REDIS_URL: stack.redis }),
    ...(stack.postgres && { DATABASE_URL: stack.postgres }),
  };
}

function run(script: string, env: NodeJS.ProcessEnv): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: ROOT,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    const timer = setTimeout(() => child.kill('SIGKILL'), 90_000);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, output });
    });
  });
}
