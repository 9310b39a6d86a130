import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { AlertMessage } from '../message.ts';
import { slackReceiver } from './slack.ts';
import { webhookReceiver } from './webhook.ts';

const message: AlertMessage = {
  event: 'raised',
  site: 'main',
  at: '2027-01-01T00:00:00.000Z',
  id: 'a',
  rule: 'availabilityPercent',
  service: 'gs',
  severity: 'critical',
  state: 'firing',
  value: 98,
  threshold: 99,
  notified: 1,
  message: 'gs: gs-1 answers 500 <!channel> & <http://evil.example|click>',
  startedAt: '2027-01-01T00:00:00.000Z',
  resolvedAt: null,
  subject: '',
  url: null,
  runbook: 'docs/incident.md#alert-slow',
};

/** No timeout: the machine may be slow. */
const fetchWithoutTimeout: typeof fetch = (input, init) => fetch(input, { ...init, signal: null });

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function receive(respond: (path: string) => { status: number; location?: string } | null) {
  const requests: { path: string; body: string }[] = [];
  const listening = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      body += part;
    });
    request.on('end', () => {
      const path = request.url ?? '';
      requests.push({ path, body });
      const result = respond(path);
      if (result)
        response.writeHead(result.status, result.location ? { location: result.location } : {}).end();
    });
  });
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(listening.address() as AddressInfo).port}`, requests };
}

test('text of an instance cannot mention a channel or add a link in Slack', async () => {
  const { url, requests } = await receive(() => ({ status: 200 }));
  await slackReceiver(fetchWithoutTimeout, url, undefined)(message);
  const { text, attachments } = JSON.parse(requests[0]?.body ?? '') as {
    text: string;
    attachments: [{ fallback: string }];
  };
  expect(text).toContain('500 &lt;!channel&gt; &amp; &lt;http://evil.example|click&gt;');
  expect(attachments[0].fallback).toBe(text);
});

test('a redirect is a failure and is not followed', async () => {
  const { url, requests } = await receive(() => ({ status: 307, location: '/elsewhere' }));
  await expect(
    webhookReceiver({ fetch: fetchWithoutTimeout, url, headers: { 'x-key': 'secret' } })(message),
  ).rejects.toThrow();
  expect(requests.map(({ path }) => path)).toEqual(['/']);
});

test('a receiver that never responds times out', async () => {
  const { url } = await receive(() => null);
  await expect(webhookReceiver({ fetch, url, headers: {}, timeoutMs: 50 })(message)).rejects.toThrow(
    /timeout|aborted/i,
  );
});
