// Installs missing packages and servers; prints nothing when nothing is missing. Plain JavaScript for Node 18 and later,
// because it runs before node_modules exists, with the Node of the machine.
import { dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { installPackages, packagesAreCurrent } from './bootstrap/packages.mjs';
import {
  installCommand,
  installServers,
  mayInstall,
  missingApplications,
  missingPeers,
  missingServers,
  missingTestTools,
  removeStalePolicy,
} from './bootstrap/servers.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const say = (line) => process.stdout.write(`${line}\n`);
const fail = (line) => process.stderr.write(`${line}\n`);

/**
 * Resolves true when everything required is installed. With `requireServers` a missing HAProxy, Redis or Postgres is a
 * failure; otherwise it is only reported.
 */
export async function bootstrap({
  requireServers = false,
  noInstall = false,
  embedded = false,
  withTestTools = false,
  withPeers = false,
  withApplications = false,
} = {}) {
  const ready = (await packages(noInstall)) && (await servers({ requireServers, noInstall, embedded }));
  if (ready && withTestTools) await testTools(noInstall, missingTestTools);
  if (ready && withApplications) await testTools(noInstall, missingApplications);
  const missing = withPeers ? missingPeers() : [];
  if (ready && missing.length > 0 && !noInstall && mayInstall()) await installServers(missing);
  return ready;
}

async function packages(noInstall) {
  if (packagesAreCurrent(root)) return true;
  if (noInstall) {
    fail('npm packages are missing or outdated. Run: npm ci');
    return false;
  }
  say('Installing npm packages (about a minute) …');
  const error = await installPackages(root);
  if (error) fail(`npm ci failed:\n${error}`);
  return !error;
}

async function servers({ requireServers, noInstall, embedded }) {
  removeStalePolicy();
  const missing = missingServers({ embedded });
  if (missing.length === 0) return true;
  const command = installCommand(missing);
  if (!noInstall && mayInstall()) {
    say(`Installing ${missing.join(', ')} with the system's package manager …`);
    const error = await installServers(missing);
    if (error) fail(`Installation failed:\n${error}`);
    if (missingServers({ embedded }).length === 0) return true;
  }
  const names = missing.join(', ');
  const how = command ? `To install: ${command}` : 'Install them with the package manager of your system.';
  if (requireServers) {
    fail(`The tests need servers that are missing: ${names}.\n${how}`);
    return false;
  }
  say(`Continuing without ${names}.\n${how}`);
  return true;
}

/** Some are large, so they are installed only on request. Tests that need one are skipped without it. */
async function testTools(noInstall, missingTools) {
  const missing = missingTools();
  if (missing.length === 0) return;
  if (!noInstall && mayInstall()) {
    say(`Installing ${missing.join(', ')} for the tests …`);
    await installServers(missing);
  }
  const left = missingTools();
  if (left.length > 0) say(`Missing: ${left.join(', ')}. Tests that need them are skipped.`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const known = {
    '--require-servers': 'requireServers',
    '--no-install': 'noInstall',
    '--embedded': 'embedded',
    '--with-test-tools': 'withTestTools',
    '--with-peers': 'withPeers',
    '--with-applications': 'withApplications',
  };
  const unknown = process.argv.slice(2).filter((arg) => !(arg in known));
  if (unknown.length > 0) {
    fail(`unknown option ${unknown.join(' ')}; expected: ${Object.keys(known).join(' ')}`);
    process.exit(2);
  }
  const options = Object.fromEntries(process.argv.slice(2).map((arg) => [known[arg], true]));
  process.exit((await bootstrap(options)) ? 0 : 1);
}
