import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Metafile } from 'esbuild';
import { loadAssets, PACKAGE_FILES } from '../agent/http/dashboard/assets.ts';
import { bundleWorker } from './edge/bundle.ts';

/**
 * `npm run build` writes everything that a host needs besides Node into dist/: the program (agent and CLI) with the parts
 * that it loads on demand, the worker thread of the embedded Postgres, and the files they read (migrations, HAProxy
 * template, dashboard, Worker).
 */
const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
// Built in a separate folder and moved at the end, so that dist/ is always complete.
const DIST = join(ROOT, '.build/dist');
const PGLITE = join(ROOT, 'node_modules/@electric-sql/pglite/dist');

rmSync(DIST, { recursive: true, force: true });
mkdirSync(join(DIST, 'edge'), { recursive: true });

// Some packages are CommonJS and use `require`, `__filename` and `__dirname`, which an ES module does not have.
const REQUIRE = `import { createRequire as acgsCreateRequire } from 'node:module';
const require = acgsCreateRequire(import.meta.url);
const { filename: acgsFilename, dirname: acgsDirname } = import.meta;`;
const COMMONJS_GLOBALS = { __filename: 'acgsFilename', __dirname: 'acgsDirname' };
const program = `${REQUIRE}\nprocess.env.ACGS_PROGRAM_DIR ??= import.meta.dirname;`;
const [agent, embedded] = await Promise.all([
  bundle({ program: 'agent/cli/main.ts' }, program),
  bundle({ 'embedded-worker': 'agent/history/sql/embedded-worker.ts' }, REQUIRE),
  bundleWorker(ROOT, join(DIST, 'edge')),
]);
const worker = JSON.parse(readFileSync(join(DIST, 'edge/bundle-meta.json'), 'utf8')) as Metafile;
const page = Object.values(PACKAGE_FILES).map((file) => `node_modules/${file}`);
const bundled = bundledPackages([
  ...[agent, embedded, worker].flatMap(({ inputs }) => Object.keys(inputs)),
  ...page,
]);
// For the software bill of materials (deploy/packages/sbom.ts).
writeFileSync(join(ROOT, '.build/bundled-packages.json'), `${JSON.stringify(bundled, null, 2)}\n`);
writeFileSync(join(DIST, 'THIRD-PARTY-LICENSES.txt'), licenseTexts(bundled));
// Compiled code is kept where only this user can write: the default folder, below /tmp, is open to others.
writeFileSync(
  join(DIST, 'acgs-lb.mjs'),
  `#!/usr/bin/env -S MALLOC_MMAP_THRESHOLD_=131072 node --max-semi-space-size=4 --heap-growing-percent=25 --
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
const { HOME, NODE_COMPILE_CACHE } = process.env;
if (HOME || NODE_COMPILE_CACHE) enableCompileCache(NODE_COMPILE_CACHE ?? join(HOME, '.cache/acgs-lb'));
process.argv[1] = import.meta.filename;
const { runProcess } = await import('./program.mjs');
await runProcess();
`,
);
chmodSync(join(DIST, 'acgs-lb.mjs'), 0o755);

for (const name of ['pglite.wasm', 'pglite.data', 'initdb.wasm'])
  copyFileSync(join(PGLITE, name), join(DIST, name));
cpSync(join(ROOT, 'agent/history/sql/migrations'), join(DIST, 'migrations'), { recursive: true });
cpSync(join(ROOT, 'haproxy'), join(DIST, 'haproxy'), { recursive: true });
for (const [name, { body }] of loadAssets()) {
  const file = join(DIST, 'dashboard', name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, body);
}
for (const name of ['acgs-lb.yaml', 'acgs-lb.schema.json', 'deploy/agent.env.example', 'LICENSE']) {
  copyFileSync(join(ROOT, name), join(DIST, basename(name)));
}
const { name, version, license } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Record<
  string,
  string
>;
writeFileSync(
  join(DIST, 'package.json'),
  `${JSON.stringify({ name, version, license, type: 'module' }, null, 2)}\n`,
);
for (const name of readdirSync(join(DIST, 'edge'))) {
  if (!['index.js', 'worker.json'].includes(name)) rmSync(join(DIST, 'edge', name));
}
rmSync(join(ROOT, 'dist'), { recursive: true, force: true });
renameSync(DIST, join(ROOT, 'dist'));
process.stdout.write(`built ${name} ${version} into dist/\n`);

/** Folders of the npm packages that these files belong to, relative to the checkout. */
function bundledPackages(files: readonly string[]): string[] {
  const folders = files
    .flatMap((path) => /(?:^|\/)(node_modules\/.*)/.exec(path)?.[1] ?? [])
    .flatMap((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []);
  return [...new Set(folders)].sort();
}

/** The licence of each package in the bundles. */
function licenseTexts(folders: readonly string[]): string {
  const texts = folders.map((folder) => {
    const manifest = JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as {
      name: string;
      version: string;
      license?: string;
    };
    const file = readdirSync(join(ROOT, folder)).find((entry) => /^(licen[cs]e|copying)\b/i.test(entry));
    const text = file ? readFileSync(join(ROOT, folder, file), 'utf8').trim() : '';
    return `${manifest.name} ${manifest.version} (${manifest.license ?? 'see below'})\n\n${text}`.trim();
  });
  return `${texts.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}

/** All files in one folder, because the program finds its other files beside itself. */
async function bundle(entryPoints: Record<string, string>, banner: string): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    metafile: true,
    entryPoints: Object.fromEntries(
      Object.entries(entryPoints).map(([out, entry]) => [out, join(ROOT, entry)]),
    ),
    outdir: DIST,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'part-[hash]',
    splitting: true,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    banner: { js: banner },
    define: COMMONJS_GLOBALS,
    legalComments: 'linked',
    // Optional dependency of pg.
    external: ['pg-native'],
    logLevel: 'warning',
  });
  return metafile;
}
