import { execFile } from 'node:child_process';
import { access, constants, statfs } from 'node:fs/promises';
import { promisify } from 'node:util';
import { EnvironmentError, readEnvironment } from '../../env.ts';
import { errorSummary, type Finding, fail, ok, warn } from './finding.ts';
import type { DoctorInput } from './input.ts';

export function checkNode(version: string = process.versions.node): Finding {
  const major = Number(version.split('.')[0]);
  if (major >= 24) return ok('Node', version);
  return fail(
    'Node',
    `${version} is too old`,
    'the agent needs Node 24 or newer (`npm ci` brings it in a checkout)',
  );
}

export function checkEnvironment({ env, config }: DoctorInput): Finding[] {
  try {
    const { production, token } = readEnvironment(env, config);
    const kind = production ? 'production' : (env.ENVIRONMENT ?? 'development');
    if (!token)
      return [
        warn('environment', `${kind}, no ACGS_TOKEN`, 'set ACGS_TOKEN: without it the API takes no commands'),
      ];
    return [ok('environment', kind)];
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    const mend = 'set it in the environment of the agent (`acgs-lb keys new` makes every secret)';
    return error.problems.map((problem) => fail('environment', problem, mend));
  }
}

const LEAST_FREE = 1024 ** 3;

/** The spool must have room for what Postgres misses while it is away. */
export async function checkStateDir({ stateDir }: DoctorInput): Promise<Finding> {
  try {
    await access(stateDir, constants.R_OK | constants.W_OK);
    const { bavail, bsize } = await statfs(stateDir);
    const free = bavail * bsize;
    const detail = `${stateDir}, ${(free / 1024 ** 3).toFixed(1)} GiB free`;
    if (free > LEAST_FREE) return ok('state folder', detail);
    return warn('state folder', detail, 'free some space: history is spooled here while Postgres is away');
  } catch (error) {
    return fail(
      'state folder',
      errorSummary(error),
      `make ${stateDir} a folder that the agent's user may write`,
    );
  }
}

export async function checkHaproxyVersion(): Promise<Finding> {
  const mend = 'install HAProxy 2.6 or newer (Debian: apt-get install haproxy)';
  try {
    const path = `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin`;
    const { stdout } = await promisify(execFile)('haproxy', ['-v'], {
      timeout: 5_000,
      env: { ...process.env, PATH: path },
    });
    const version = /version (\d+)\.(\d+)\S*/.exec(stdout);
    const [text = 'unknown version', major, minor] = version ?? [];
    const enough = Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 6);
    return enough ? ok('HAProxy', text) : fail('HAProxy', `${text} is too old`, mend);
  } catch (error) {
    return fail('HAProxy', errorSummary(error), mend);
  }
}
