import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FileStore } from '@tus/file-store';
import { Server } from '@tus/server';
import { Upload } from 'tus-js-client';
import { type Application, type CheckContext, mustEqual, nothingMissing } from './application.ts';
import { listen } from './node-server.ts';

interface TusVariant {
  id: string;
  name: string;
  needs: string;
  behindProxy: boolean;
}

const tus = ({ id, name, needs, behindProxy }: TusVariant): Application => ({
  id,
  name,
  needs,
  missing: nothingMissing,
  start(_, folder) {
    const server = new Server({
      path: '/files',
      datastore: new FileStore({ directory: join(folder, 'files') }),
      respectForwardedHeaders: behindProxy,
    });
    return listen((request, response) => void server.handle(request, response));
  },
  checks: [
    {
      what: 'an interrupted upload goes on where it stopped, at the URL that the client used',
      run: interruptedUpload,
      ...(!behindProxy && {
        fails: {
          direct: {
            error: /^origin of the upload/,
            reason: 'the URL of the upload has the name of the instance, so the client leaves the edge',
          },
        },
      }),
    },
  ],
});

async function interruptedUpload({ url, folder, short }: CheckContext): Promise<void> {
  const content = randomBytes(short ? 3_000_000 : 30_000_000);
  const chunkSize = content.length / 6;
  let location: string | null = null;
  const start = (uploadUrl: string | null, stopAfter: number) =>
    new Promise<void>((resolve, reject) => {
      const upload = new Upload(content, {
        endpoint: `${url}/files`,
        uploadUrl,
        chunkSize,
        retryDelays: null,
        onError: reject,
        onSuccess: () => resolve(),
        onChunkComplete: (_, sent) => {
          location = upload.url;
          if (sent >= stopAfter) void upload.abort().then(resolve, reject);
        },
      });
      upload.start();
    });
  await start(null, content.length / 3);
  mustEqual(new URL(location ?? '').origin, url, 'origin of the upload');
  const before = await fetch(location ?? '', { method: 'HEAD', headers: { 'tus-resumable': '1.0.0' } });
  mustEqual(Number(before.headers.get('upload-offset')) >= content.length / 3, true, 'offset kept');
  await start(location, Number.POSITIVE_INFINITY);
  const id = String(location).split('/').pop() ?? '';
  const stored = join(folder, 'files', id);
  mustEqual(readdirSync(join(folder, 'files')).includes(id), true, 'file stored');
  const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  mustEqual(digest(readFileSync(stored)), digest(content), 'digest');
}

export const TUS: readonly Application[] = [
  tus({
    id: 'tus',
    name: 'tus (`@tus/server`, `tus-js-client`)',
    needs: 'nothing with a gateway; directly, the setting of the next row. Instances share the store',
    behindProxy: false,
  }),
  tus({
    id: 'tus-proxy',
    name: 'tus with the setting',
    needs: '`respectForwardedHeaders: true` (tusd: `-behind-proxy`)',
    behindProxy: true,
  }),
];
