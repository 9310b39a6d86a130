import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { AlertMessage } from '../message.ts';
import { slackReceiver, webhookReceiver } from './http.ts';

const message: AlertMessage = {
  ...{ event: 'raised', site: 'main', at: '2027-01-01T00:00:00.000Z', id: 'a', rule: 'availabilityPercent' },
  ...{ service: 'gs', severity: 'critical', state: 'firing', value: 98, threshold: 99, notified: 1 },
  message: 'gs: gs-1 answers 500 <!channel> & <http://evil.example|click>',
  ...{ startedAt: '2027-01-01T00:00:00.000Z', resolvedAt: null },
};

/** Gives up on nothing, however slow the machine. */
const patient: typeof fetch = (input, init) => fetch(input, { ...init, signal: null });

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function receive(answer: (path: string) => { status: number; location?: string } | null) {
  const asked: { path: string; body: string }[] = [];
  const listening = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      body += part;
    });
    request.on('end', () => {
      const path = request.url ?? '';
      asked.push({ path, body });
      const given = answer(path);
      if (given) response.writeHead(given.status, given.location ? { location: given.location } : {}).end();
    });
  });
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(listening.address() as AddressInfo).port}`, asked };
}

test('what an instance says of itself mentions nobody and links nowhere in Slack', async () => {
  const { url, asked } = await receive(() => ({ status: 200 }));
  await slackReceiver(patient, url, undefined)(message);
  const { text, attachments } = JSON.parse(asked[0]?.body ?? '') as {
    text: string;
    attachments: [{ fallback: string }];
  };
  expect(text).toContain('500 &lt;!channel&gt; &amp; &lt;http://evil.example|click&gt;');
  expect(attachments[0].fallback).toBe(text);
});

test('an alert goes where the file says and nowhere else: a redirect is a failure', async () => {
  const { url, asked } = await receive(() => ({ status: 307, location: '/elsewhere' }));
  await expect(webhookReceiver(patient, url, { 'x-key': 'secret' })(message)).rejects.toThrow();
  expect(asked.map(({ path }) => path)).toEqual(['/']);
});

test('a receiver that never answers is given up', async () => {
  const { url } = await receive(() => null);
  await expect(webhookReceiver(fetch, url, {}, 50)(message)).rejects.toThrow(/timeout|aborted/i);
});
