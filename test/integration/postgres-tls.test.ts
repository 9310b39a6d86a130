import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkPostgres } from '../../agent/cli/doctor/stores.ts';
import { libpqEnvironment, runTool } from '../../agent/history/maintenance/postgres-tools.ts';
import { openDatabase } from '../../agent/history/sql/database.ts';
import { migrate } from '../../agent/history/sql/migrate.ts';
import type { LocalPostgres } from '../../dev/servers/postgres.ts';
import { type Certificates, makeCertificates } from '../harness/certificates.ts';
import { doctorFacts } from '../harness/doctor-facts.ts';
import { eventually } from '../harness/eventually.ts';
import { startPostgres } from '../harness/postgres.ts';

let files: Certificates;
let server: LocalPostgres;

/** The application only with TLS, by password or certificate; the superuser as the server starter needs it. */
const ACCESS = `host postgres postgres 127.0.0.1/32 scram-sha-256
hostssl acgs_lb acgs_lb_user 127.0.0.1/32 scram-sha-256
hostssl acgs_lb certified 127.0.0.1/32 cert
hostnossl acgs_lb plain 127.0.0.1/32 scram-sha-256
`;

beforeAll(async () => {
  files = makeCertificates('certified');
  server = await startPostgres({ access: ACCESS, tls: { ca: files.ca, ...files.server } });
  const admin = openDatabase(server.adminUrl, 'main', { min: 0, max: 1, idle: 1_000 });
  await admin.query('CREATE ROLE certified LOGIN');
  await admin.query("CREATE ROLE plain LOGIN PASSWORD 'plain-secret'");
  await admin.close();
});
afterAll(async () => {
  await server?.stop();
  files?.remove();
});

const certified = () => `sslcert=${files.client.cert}&sslkey=${files.client.key}`;
/** `user`: with or without a password. `host`: the name that the client uses. */
const urlOf = (query: string, { user = '', host = '127.0.0.1' } = {}) => {
  const { password } = new URL(server.url);
  return `postgresql://${user || `acgs_lb_user:${password}`}@${host}:${server.port}/acgs_lb?connect_timeout=60&${query}`;
};

test.each([
  ['no sslmode', () => urlOf('')],
  ['prefer', () => urlOf('sslmode=prefer')],
  ['prefer, TLS refused', () => urlOf('sslmode=prefer', { user: 'plain:plain-secret' })],
  ['allow, TLS required', () => urlOf('sslmode=allow')],
  ['require, any authority', () => urlOf('sslmode=require', { host: 'localhost' })],
  ['require, with an authority', () => urlOf(`sslmode=require&sslrootcert=${files.ca}`)],
  [
    'verify-ca, any host name',
    () => urlOf(`sslmode=verify-ca&sslrootcert=${files.ca}`, { host: 'localhost' }),
  ],
  ['verify-full', () => urlOf(`sslmode=verify-full&sslrootcert=${files.ca}`)],
  ['only an authority', () => urlOf(`sslrootcert=${files.ca}`)],
  [
    'a client certificate',
    () => urlOf(`sslmode=verify-full&sslrootcert=${files.ca}&${certified()}`, { user: 'certified' }),
  ],
  [
    'several hosts',
    () => urlOf(`sslmode=verify-full&sslrootcert=${files.ca}`, { host: '127.0.0.1:1,127.0.0.1' }),
  ],
])('%s connects, also with psql', async (name, url) => {
  const tls = name.endsWith('refused') ? /no TLS/ : /TLSv1\.3/;
  await eventually(async () => {
    const [found] = await checkPostgres(doctorFacts({ DATABASE_URL: url() }));
    expect(found).toMatchObject({ name: 'Postgres', state: 'ok', detail: expect.stringMatching(tls) });
  });
  // psql rejects keys that others can read, as these can.
  if (url().includes('sslkey')) return;
  expect(await runTool('psql', ['-XAtc', 'SELECT 1'], libpqEnvironment(url()))).toBe('1\n');
});

test.each([
  ['disable', () => urlOf('sslmode=disable'), /add sslmode=require/],
  [
    'require, another authority',
    () => urlOf(`sslmode=require&sslrootcert=${files.otherCa}`),
    /sslrootcert= in DATABASE_URL/,
  ],
  [
    'verify-ca, another authority',
    () => urlOf(`sslmode=verify-ca&sslrootcert=${files.otherCa}`),
    /sslrootcert=/,
  ],
  ['verify-full, no authority', () => urlOf('sslmode=verify-full'), /sslrootcert= in DATABASE_URL/],
  [
    'verify-full, another name',
    () => urlOf(`sslmode=verify-full&sslrootcert=${files.ca}`, { host: 'localhost' }),
    /other names than the host in DATABASE_URL/,
  ],
  [
    'no client certificate',
    () => urlOf('sslmode=require', { user: 'certified' }),
    /sslcert= and sslkey= in DATABASE_URL/,
  ],
  [
    'a wrong password',
    () => urlOf('', { user: 'acgs_lb_user:wrong-secret' }),
    /user or password in DATABASE_URL/,
  ],
])('%s is refused with a hint', async (_name, url, mend) => {
  let printed = '';
  await eventually(async () => {
    const [found] = await checkPostgres(doctorFacts({ DATABASE_URL: url() }));
    printed += JSON.stringify(found);
    expect(found).toMatchObject({ name: 'Postgres', state: 'fail', mend: expect.stringMatching(mend) });
  });
  await eventually(() => expect(migrate(url(), 'main')).rejects.toThrow(mend));
  expect(printed).not.toMatch(new RegExp(`secret|${new URL(server.url).password}`));
});
