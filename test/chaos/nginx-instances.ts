import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../../dev/bootstrap/run.mjs';
import { freePort } from '../../dev/ports.ts';
import { startChild, untilReady } from '../../dev/servers/child.ts';
import { privateFolder, removeFolder } from '../../dev/servers/folder.ts';
import { startStack } from '../harness/stack.ts';
import { Findings, type Scenario } from './scenario.ts';

/** Instances we did not write: two nginx, `npm start -- --no-demo --config …`. */
export const nginxInstances: Scenario = {
  name: 'nginx-instances',
  what: 'two nginx as the instances of one service, with --no-demo',
  async run() {
    const findings = new Findings();
    const folder = privateFolder('acgs-nginx');
    const servers = await Promise.all(['web-1', 'web-2'].map((id) => startNginx(folder, id)));
    const instances = servers
      .map(({ id, port }) => `      - { id: ${id}, url: http://127.0.0.1:${port} }`)
      .join('\n');
    const configText = `version: 1\nsite: { id: main }\nservices:\n  web:\n    routes: [/]\n    health: { path: / }\n    instances:\n${instances}\n`;
    try {
      const test = await startStack({ configText, args: ['--no-demo'] });
      try {
        const seen = new Map<string, string>();
        for (let call = 0; call < 10; call++) {
          const response = await fetch(`${test.stack.edge}/`);
          seen.set(response.headers.get('x-acgs-instance') ?? '', (await response.text()).trim());
        }
        for (const [id, body] of seen) findings.check(body === `nginx ${id}`, `${id} answered "${body}"`);
        findings.check(seen.size === 2, `both answered within ten calls`);
        findings.check(
          test.stack.instances.every(({ pid }) => pid === null),
          'no demo instance was started',
        );
      } finally {
        await test.stop();
      }
      findings.check(
        servers.every(({ child }) => child.running),
        'the two nginx still run after the stack has ended',
      );
    } finally {
      await Promise.all(servers.map(({ child }) => child.stop()));
      removeFolder(folder);
    }
    return findings.outcome;
  },
};

async function startNginx(folder: string, id: string) {
  const nginx = findProgram('nginx');
  if (!nginx) throw new Error('nginx is not installed: apt-get install nginx-light');
  const port = await freePort();
  const file = join(folder, `${id}.conf`);
  writeFileSync(
    file,
    `daemon off; pid ${folder}/${id}.pid; error_log stderr; events {}
http { access_log off; server { listen 127.0.0.1:${port}; location / { return 200 "nginx ${id}\\n"; } } }\n`,
  );
  const child = await startChild({
    name: id,
    command: nginx,
    args: ['-e', 'stderr', '-c', file],
    logFile: join(folder, `${id}.log`),
  });
  await untilReady(child, async () => (await fetch(`http://127.0.0.1:${port}/`)).ok);
  return { id, port, child };
}
