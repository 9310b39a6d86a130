import { execFileSync } from 'node:child_process';
import { chownSync } from 'node:fs';
import { join } from 'node:path';
import { startInPrivateFolder } from './folder.ts';
import { type LocalPostgres, postgresBin, startPostgres, systemUser } from './postgres.ts';

/** Starts a streaming standby of a running server; read-only until promoted. */
export function startStandby(primary: LocalPostgres): Promise<LocalPostgres> {
  const user = process.getuid?.() === 0 ? systemUser('postgres') : undefined;
  return startInPrivateFolder('acgs-pg-standby', undefined, async (folder) => {
    if (user) chownSync(folder, user.uid, user.gid);
    const dataDir = join(folder, 'data');
    const { username, password, port } = new URL(primary.adminUrl);
    const server = ['-h', '127.0.0.1', '-p', port, '-U', username];
    const args = ['-D', dataDir, '-R', '--checkpoint=fast', '--no-sync', ...server];
    execFileSync(join(postgresBin(), 'pg_basebackup'), args, {
      ...user,
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, PGPASSWORD: password },
    });
    return startPostgres({ dataDir });
  });
}
