import { execFile } from 'node:child_process';
import { access, constants, statfs } from 'node:fs/promises';
import { promisify } from 'node:util';
import { EnvironmentError, readEnvironment } from '../../env.ts';
import { errorSummary, type Finding, fail, ok, warn } from './finding.ts';
import type { DoctorInput } from './input.ts';

export function checkNode(version: string = process.versions.node): Finding {
  const major = Number(version.split('.')[0]);
  if (major >= 24) return ok('Node', version);
  return fail('Node', `${version} is too old`, 'install Node 24 or newer (in a checkout: `npm ci`)');
}

export function checkEnvironment({ env, config }: DoctorInput): Finding[] {
  try {
    const { production, tokens } = readEnvironment(env, config);
    const kind = production ? 'production' : (env.ENVIRONMENT ?? 'development');
    if (!tokens.some(({ scope }) => scope.kind === 'admin'))
      return [
        warn(
          'environment',
          `${kind}, no ACGS_TOKEN`,
          'set ACGS_TOKEN; without it the API rejects all writes',
        ),
      ];
    return [ok('environment', kind)];
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    const mend = 'set it in the environment of the agent (`acgs-lb keys new` creates all secrets)';
    return error.problems.map((problem) => fail('environment', problem, mend));
  }
}

const MIN_FREE_BYTES = 1024 ** 3;

/** The state folder needs room for the spool, which holds history while Postgres is unavailable. */
export async function checkStateDir({ stateDir }: DoctorInput): Promise<Finding> {
  try {
    await access(stateDir, constants.R_OK | constants.W_OK);
    const { bavail, bsize } = await statfs(stateDir);
    const free = bavail * bsize;
    const detail = `${stateDir}, ${(free / 1024 ** 3).toFixed(1)} GiB free`;
    if (free > MIN_FREE_BYTES) return ok('state folder', detail);
    return warn(
      'state folder',
      detail,
      'free some disk space; history is spooled here while Postgres is unavailable',
    );
  } catch (error) {
    return fail(
      'state folder',
      errorSummary(error),
      `create ${stateDir} as a folder that the user of the agent can write`,
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
