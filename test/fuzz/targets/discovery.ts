import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { toInstanceList } from '../../../agent/discovery/list.ts';
import { type ListedInstance, SourceError, type SourceList } from '../../../agent/discovery/source.ts';
import { nextIndex, parseConsulEntries } from '../../../agent/discovery/sources/consul.ts';
import { serviceInstances } from '../../../agent/discovery/sources/dns.ts';
import { parseContainers } from '../../../agent/discovery/sources/docker.ts';
import { parseInstanceFile } from '../../../agent/discovery/sources/file.ts';
import { parseIntents } from '../../../agent/registry/intent.ts';
import { type FuzzTarget, jsonOf, utf8 } from '../target.ts';

/** What a source lists must be what the agent's own store of intents accepts. */
function checkListed(instances: readonly ListedInstance[], problems: readonly string[]): void {
  const { registrations } = toInstanceList(instances, problems, {
    service: 'web',
    source: 'dns web.internal',
  });
  const urls = registrations.map(({ url }) => url);
  assert.equal(new Set(urls).size, urls.length);
  for (const problem of problems) assert(problem.length < 1_000, problem);
  for (const registration of registrations) {
    const intent = { updatedAt: 1, by: 'discovery', registration };
    assert.equal(parseIntents({ [`web/${registration.id}`]: intent }).size, 1, JSON.stringify(registration));
  }
}

/** A list, or a SourceError that says what is wrong with all of it. */
function checkSource(read: () => SourceList): void {
  try {
    const { instances, problems } = read();
    checkListed(instances, problems);
  } catch (error) {
    if (!(error instanceof SourceError)) throw error;
  }
}

const file: FuzzTarget = {
  name: 'discovery-file',
  holds: 'a file of instances: an error, or instances that meet the rules of registration',
  start: () => (input) => checkSource(() => parseInstanceFile(utf8(input))),
};

const consul: FuzzTarget = {
  name: 'discovery-consul',
  holds: "Consul's answers: an error, or instances that meet the rules of registration",
  start: () => (input) => {
    checkSource(() => parseConsulEntries(jsonOf(input), 'http'));
    const index = nextIndex(7, input);
    assert(index === 0 || (Number.isSafeInteger(index) && index >= 7));
  },
};

const SCOPES = [
  { scheme: 'http', isLocal: true },
  { scheme: 'https', isLocal: false, network: 'web', port: 8080 },
];

const docker: FuzzTarget = {
  name: 'discovery-docker',
  holds: "Docker's answers: an error, or instances that meet the rules of registration",
  start: () => (input) => {
    for (const scope of SCOPES) checkSource(() => parseContainers(jsonOf(input), scope));
  },
};

const MAX_UINT16 = 65_535;
/** 255 bytes, each at most as long as `\\ddd`. */
const MAX_NAME = 1_020;
const uint16 = (text = ''): number => Math.min(Number.parseInt(text, 10) || 0, MAX_UINT16);

/** One record a line: priority, weight, port, target and addresses, as Node's resolver would return them. */
const dns: FuzzTarget = {
  name: 'discovery-dns',
  holds: 'DNS answers: instances that meet the rules of registration, with weights in their ratio',
  start: () => (input) => {
    const lines = utf8(input)
      .split('\n')
      .map((line) => line.split(' ').map((word) => word.slice(0, MAX_NAME)));
    const records = lines.map(([priority, weight, port, name = '']) => ({
      priority: Math.abs(uint16(priority)),
      weight: Math.abs(uint16(weight)),
      port: Math.abs(uint16(port)),
      name,
    }));
    const addresses = new Map(
      lines.map(([, , , name = '', ...found]) => [
        name,
        { addresses: found.filter((each) => isIP(each) > 0 && !each.includes('%')) },
      ]),
    );
    const { instances, problems } = serviceInstances(records, addresses, 'http');
    for (const { weight, priority } of instances) {
      assert(weight >= 1 && weight <= 100);
      assert(priority >= 1);
    }
    checkListed(instances, problems);
  },
};

export const DISCOVERY_TARGETS: readonly FuzzTarget[] = [file, dns, consul, docker];
