import { execFileSync } from 'node:child_process';
import { chownSync } from 'node:fs';
import { join } from 'node:path';
import { createPrivateFolder, removeFolder } from './folder.ts';
import { type LocalPostgres, postgresBin, startPostgres, systemUser } from './postgres.ts';

/** Starts a streaming standby of a running server; read-only until promoted. */
export async function startStandby(primary: LocalPostgres): Promise<LocalPostgres> {
  const user = process.getuid?.() === 0 ? systemUser('postgres') : undefined;
  const folder = createPrivateFolder('acgs-pg-standby');
  if (user) chownSync(folder, user.uid, user.gid);
  const dataDir = join(folder, 'data');
  try {
    const { username, password, port } = new URL(primary.adminUrl);
    const args = ['-D', dataDir, '-R', '--checkpoint=fast', '--no-sync'];
    execFileSync(
      join(postgresBin(), 'pg_basebackup'),
      [...args, '-h', '127.0.0.1', '-p', port, '-U', username],
      {
        cwd: folder,
        stdio: ['ignore', 'ignore', 'pipe'],
        ...user,
        env: { ...process.env, PGPASSWORD: password },
      },
    );
    const server = await startPostgres({ dataDir });
    return {
      ...server,
      async stop() {
        await server.stop();
        removeFolder(folder);
      },
    };
  } catch (error) {
    removeFolder(folder);
    throw error;
  }
}
