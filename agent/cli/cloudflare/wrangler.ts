import { spawn } from 'node:child_process';
import { type FileHandle, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { wranglerProgram } from '../../edge/worker-bundle.ts';
import { StepFailed } from './step.ts';

const STEP = 'worker';
const TIMEOUT_MS = 180_000;
const MAX_OUTPUT = 64 * 1024;
/** Everything else in this process's environment may be a secret of the agent. */
const PASSED_ON =
  /^(?:PATH|HOME|TMPDIR|LANG|XDG_.*|https?_proxy|no_proxy|HTTPS?_PROXY|NO_PROXY|NODE_EXTRA_CA_CERTS|CLOUDFLARE_API_(?:TOKEN|BASE_URL))$/;

export interface WranglerUpload {
  programDir: string;
  config: object;
  code: Uint8Array;
  secrets: Readonly<Record<string, string>>;
  accountId: string;
  env: NodeJS.ProcessEnv;
}

/**
 * Uploads the Worker with its secrets by `wrangler deploy`. The secrets come from standard input, never from a command
 * line. Throws a StepFailed with wrangler's message.
 */
export async function uploadByWrangler(upload: WranglerUpload): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'acgs-deploy-'));
  try {
    await writeFile(join(folder, 'index.js'), upload.code);
    await writeFile(join(folder, 'wrangler.json'), JSON.stringify(upload.config));
    await using secrets = await openSecrets(join(folder, 'secrets.json'), upload.secrets);
    const { code, output } = await runWrangler(folder, secrets.fd, upload);
    if (code === 0) return;
    const values = [...Object.values(upload.secrets), upload.env.CLOUDFLARE_API_TOKEN ?? ''];
    throw new StepFailed(
      STEP,
      redact(failureText(output), values),
      'correct what wrangler names and run it again',
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** An open file without a name: no secret stays on disk, even if this process is killed. */
async function openSecrets(file: string, secrets: WranglerUpload['secrets']): Promise<FileHandle> {
  await writeFile(file, JSON.stringify(secrets), { mode: 0o600 });
  const handle = await open(file);
  await rm(file);
  return handle;
}

function runWrangler(
  folder: string,
  secretsFd: number,
  { programDir, accountId, env }: WranglerUpload,
): Promise<{ code: number; output: string }> {
  const [program, ...before] = wranglerProgram(programDir);
  const args = [...before, 'deploy', '--config', 'wrangler.json', '--secrets-file', '/dev/stdin'];
  const passedOn = Object.entries(env).filter(([name]) => PASSED_ON.test(name));
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: folder,
      stdio: [secretsFd, 'pipe', 'pipe'],
      // The option `timeout` would keep this process alive when there is no wrangler.
      signal: AbortSignal.timeout(TIMEOUT_MS),
      env: {
        ...Object.fromEntries(passedOn),
        CLOUDFLARE_ACCOUNT_ID: accountId,
        CI: 'true',
        NO_COLOR: '1',
        WRANGLER_HIDE_BANNER: 'true',
        WRANGLER_SEND_METRICS: 'false',
        WRANGLER_SEND_ERROR_REPORTS: 'false',
        WRANGLER_LOG_PATH: folder,
      },
    });
    let output = '';
    const add = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-MAX_OUTPUT);
    };
    child.stdout?.on('data', add);
    child.stderr?.on('data', add);
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(startFailure(error));
    });
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

function startFailure(error: NodeJS.ErrnoException): Error {
  if (error.code === 'ENOENT')
    return new StepFailed(STEP, 'wrangler was not found', 'run `npm install --global wrangler`');
  if (error.name === 'AbortError')
    return new StepFailed(
      STEP,
      `wrangler ran for more than ${TIMEOUT_MS / 1_000} s`,
      'run the command again',
    );
  return error;
}

/** wrangler's error without its frames, colours and advice to report a bug. */
function failureText(output: string): string {
  const lines = stripVTControlCharacters(output)
    .split('\n')
    .map((line) => line.trim());
  const from = lines.findIndex((line) => line.includes('[ERROR]'));
  return lines
    .slice(Math.max(0, from))
    .filter((line) => line !== '' && !/create an issue at|Logs were written/.test(line))
    .map((line) => line.replace(/^✘ \[ERROR\]\s*/, ''))
    .slice(0, 8)
    .join('\n');
}

const redact = (text: string, values: readonly string[]): string =>
  values.filter(Boolean).reduce((shown, value) => shown.replaceAll(value, '(hidden)'), text);
