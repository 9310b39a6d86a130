import express from 'express';
import Fastify from 'fastify';
import { findFlaskPython } from '../../dev/bootstrap/servers.mjs';
import { freePort } from '../../dev/ports.ts';
import { type Application, type KnownFailures, nothingMissing } from './application.ts';
import { listen } from './node-server.ts';
import { missingFlask, missingProgram, programOf, runProgram, scriptPath } from './programs.ts';
import { webChecks } from './web-checks.ts';

/** Each framework twice: as it comes, and with its setting for a proxy. */

const OWN_HOST: KnownFailures = {
  direct: {
    error: /^absolute URL: .*127\.0\.0\.1|^status: 403/,
    reason: "the runtime sets `Host` to the name of the instance; the client's host is in `X-Forwarded-Host`",
  },
};
const NOTHING = 'nothing with a gateway; directly, the setting of the next row';

interface Variant {
  id: string;
  name: string;
  needs: string;
  behindProxy: boolean;
}

const variants = (id: string, name: string, setting: string): Variant[] => [
  { id, name, needs: NOTHING, behindProxy: false },
  { id: `${id}-proxy`, name: `${name} with the setting`, needs: setting, behindProxy: true },
];
const checksOf = ({ behindProxy }: Variant) => webChecks(behindProxy ? {} : OWN_HOST);
const envOf = ({ behindProxy }: Variant): NodeJS.ProcessEnv => (behindProxy ? { BEHIND_PROXY: '1' } : {});

const isOwnOrigin = (origin: string | undefined, host: string): boolean =>
  URL.canParse(origin ?? '') && new URL(origin ?? '').host === host;

/** The name and the length of the file in a form, read without a library. */
function readForm(body: Buffer): { name: string | undefined; bytes: number } {
  const text = body.toString('latin1');
  const name = /name="name"\r\n\r\n(.*)\r\n/.exec(text)?.[1] ?? '';
  const start = text.indexOf('\r\n\r\n', text.indexOf('name="file"')) + 4;
  return { name: Buffer.from(name, 'latin1').toString(), bytes: text.indexOf('\r\n--', start) - start };
}

const cookieJar = (header = ''): Record<string, string> =>
  Object.fromEntries(header.split('; ').map((pair) => pair.split('=', 2) as [string, string]));

function expressApplication(variant: Variant): Application {
  return {
    ...variant,
    missing: nothingMissing,
    start() {
      const app = express();
      if (variant.behindProxy) app.set('trust proxy', 'loopback');
      app.get('/self', (request, response) => {
        response.json({ url: `${request.protocol}://${request.host}/target` });
      });
      app.get('/redirect', (request, response) => {
        response.redirect(`${request.protocol}://${request.host}/target`);
      });
      app.post('/form', express.raw({ type: () => true, limit: '1mb' }), (request, response) => {
        if (!isOwnOrigin(request.get('origin'), request.host)) response.sendStatus(403);
        else response.json(readForm(request.body));
      });
      app.get('/cookies', (request, response) => {
        response.cookie('one', '1').cookie('two', '2', { httpOnly: true });
        response.json(cookieJar(request.get('cookie')));
      });
      return listen(app);
    },
    checks: checksOf(variant),
  };
}

function fastifyApplication(variant: Variant): Application {
  return {
    ...variant,
    missing: nothingMissing,
    async start() {
      const app = Fastify({ trustProxy: variant.behindProxy ? 'loopback' : false });
      app.addContentTypeParser('multipart/form-data', { parseAs: 'buffer' }, (_, body, done) =>
        done(null, body),
      );
      app.get('/self', ({ protocol, host }) => ({ url: `${protocol}://${host}/target` }));
      app.get('/redirect', ({ protocol, host }, reply) => reply.redirect(`${protocol}://${host}/target`));
      app.post('/form', ({ headers, host, body }, reply) =>
        isOwnOrigin(headers.origin, host) ? readForm(body as Buffer) : reply.code(403).send(),
      );
      app.get('/cookies', ({ headers }, reply) =>
        reply.header('set-cookie', ['one=1', 'two=2; HttpOnly']).send(cookieJar(headers.cookie)),
      );
      const url = await app.listen({ host: '127.0.0.1', port: 0 });
      return { url, stop: () => app.close() };
    },
    checks: checksOf(variant),
  };
}

const flaskApplication = (variant: Variant): Application => ({
  ...variant,
  slow: true,
  missing: missingFlask,
  async start(name, folder) {
    const port = await freePort();
    const command = findFlaskPython() ?? 'python3';
    const args = [scriptPath('flask_app.py'), String(port)];
    return runProgram({ name, command, args, folder, port, env: envOf(variant) });
  },
  checks: checksOf(variant),
});

const phpApplication = (variant: Variant): Application => ({
  ...variant,
  slow: true,
  missing: missingProgram('php'),
  async start(name, folder) {
    const port = await freePort();
    return runProgram({
      name,
      command: programOf('php'),
      args: ['-S', `127.0.0.1:${port}`, scriptPath('router.php')],
      folder,
      port,
      env: envOf(variant),
    });
  },
  checks: checksOf(variant),
});

export const FRAMEWORKS: readonly Application[] = [
  ...variants('express', 'Express', '`app.set("trust proxy", <networks of the edge>)`').map(
    expressApplication,
  ),
  ...variants('fastify', 'Fastify', '`trustProxy: <networks of the edge>`').map(fastifyApplication),
  ...variants('flask', 'Flask', '`ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)`').map(
    flaskApplication,
  ),
  ...variants('php', "PHP's built-in server", 'read `$_SERVER["HTTP_X_FORWARDED_HOST"]`').map(phpApplication),
];
