import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { browserPath, launchBrowser } from './browser.ts';
import { type FakeAgent, startFakeAgent } from './fake-agent.ts';
import { makeSession } from './fake-sessions.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** For what follows from something by itself, a frame or a request later. */
const soon = { timeout: 60_000 };

interface AxeResult {
  violations: { id: string; nodes: { html: string; failureSummary?: string }[] }[];
}

describe.skipIf(!browserPath)('the dashboard in a real browser', { timeout: 120_000 }, () => {
  let browser: Browser;
  let agent: FakeAgent;
  /** What the page must never do, gathered while a test runs. */
  let wrongs: string[];

  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser?.close());
  beforeEach(async () => {
    agent = await startFakeAgent();
    wrongs = [];
  });
  afterEach(async () => {
    // The pages first: what they ask an agent that is gone is no wrong of theirs.
    for (const context of browser.contexts()) await context.close();
    await agent.close();
    expect(wrongs).toEqual([]);
  });

  async function visit(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    // The page gives the agent ten seconds; here the agent shares a busy machine with the browser.
    await context.addInitScript('AbortSignal.timeout = () => new AbortController().signal');
    const page = await context.newPage();
    page.setDefaultTimeout(soon.timeout);
    page.on('pageerror', (error) => wrongs.push(error.message));
    page.on('console', (message) => {
      // Connections are cut on purpose, and some answers are refusals.
      if (message.type() === 'error' && !/net::ERR_|status of (401|409|503)/.test(message.text()))
        wrongs.push(message.text());
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(agent.url)) wrongs.push(`asked for ${request.url()}`);
    });
    await page.goto(agent.url);
    return page;
  }
  async function open(options: BrowserContextOptions = {}): Promise<Page> {
    const page = await visit(options);
    await page.getByRole('button', { name: 'Steer gs-1' }).waitFor();
    return page;
  }
  const text = (page: Page, selector: string) =>
    expect.poll(() => page.locator(selector).textContent(), soon);
  const count = (page: Page, selector: string) => expect.poll(() => page.locator(selector).count(), soon);
  /** It is on view for some seconds only, and its words stay: a slow look finds them still. */
  const toast = (page: Page, words: string) =>
    page.locator('#toast').getByText(words).waitFor({ state: 'attached' });
  const heading = (page: Page, name: string | RegExp) =>
    page.getByRole('heading', { level: 1, name }).waitFor();
  async function signIn(page: Page, token = agent.token) {
    await page.getByLabel('Token (ACGS_TOKEN)').fill(token);
    await page.locator('#login').getByRole('button', { name: 'Sign in' }).click();
  }

  test('says at once that all is right, then what is not, why and since when, then that it is again', async () => {
    const page = await open();
    await heading(page, 'Everything is all right');
    agent.changeInstance(
      'gs/gs-1',
      { state: 'down', health: 'down' },
      '3 of 3 probes failed: connect refused 127.0.0.1:8004',
    );
    await heading(page, 'gs-1 is down');
    await text(page, '#verdict .alone').toMatch(
      /3 of 3 probes failed: connect refused.*since .*\d\d:\d\d:\d\d/,
    );
    await text(page, '#announce').toContain('gs-1 is down: 3 of 3 probes failed');
    await expect.poll(() => page.title(), soon).toBe('(1) acgs-lb main');
    agent.changeInstance('gs/gs-2', { state: 'down', health: 'down' }, '3 of 3 probes failed: status 503');
    await page.locator('#verdict.bad').getByText('gs takes no traffic').waitFor();
    for (const id of ['gs-1', 'gs-2'])
      agent.changeInstance(`gs/${id}`, { state: 'up', health: 'up' }, '2 of 2 probes passed');
    await heading(page, 'Everything is all right');
  });

  test('drain asks first, wants the token, refuses a wrong one, and does what was asked', async () => {
    const page = await open();
    await page.getByRole('button', { name: 'Steer gs-1' }).click();
    const dialog = page.locator('#manage');
    await dialog.getByLabel('Then maintenance').selectOption('5m');
    await dialog.getByRole('button', { name: 'Drain' }).click();
    await dialog.getByText('1 other instance of gs carries on').waitFor();
    expect(agent.writes).toEqual([]);
    await dialog.getByRole('button', { name: 'Drain' }).click();
    await signIn(page, 'wrong');
    await page.getByText('The agent does not accept this token.').waitFor();
    expect(agent.writes).toEqual([]);
    await signIn(page);
    await toast(page, 'gs-1: drain, done');
    expect(agent.writes).toEqual([
      { path: '/v1/services/gs/instances/gs-1/admin', body: { state: 'drain', deadline: '5m' } },
    ]);
    await page.locator('tr[data-key="gs-1"]').getByText('draining').waitFor();
  });

  test('what is under way for one instance neither speaks for the next one nor closes its dialog', async () => {
    const page = await open();
    await page.getByRole('button', { name: 'Sign in' }).click();
    await signIn(page);
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
    const under = Promise.withResolvers<void>();
    await page.route('**/gs-1/admin', async (route) => {
      await under.promise;
      await route.continue();
    });
    const dialog = page.locator('#manage');
    await page.getByRole('button', { name: 'Steer gs-1' }).click();
    for (let press = 0; press < 2; press++)
      await dialog.getByRole('button', { name: 'Maintenance', exact: true }).click();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Steer gs-2' }).click();
    await dialog.getByRole('button', { name: 'Drain', exact: true }).click();
    under.resolve();
    await toast(page, 'gs-1: maintenance, done');
    await dialog.getByText('Drain gs-2?').waitFor();
    expect(agent.writes.map(({ path }) => path)).toEqual(['/v1/services/gs/instances/gs-1/admin']);
  });

  test('steered by keyboard alone, and a warning when nothing would be left', async () => {
    agent.changeInstance('gs/gs-1', { state: 'down', health: 'down' }, 'gone');
    const page = await open();
    await page.getByRole('button', { name: 'Sign in' }).press('Enter');
    await page.keyboard.type(agent.token);
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('gs-2');
    await page.locator('tr[data-key="auth-1"]').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Steer gs-2' }).press('Enter');
    await page.locator('form[data-steer=maint] button').press('Enter');
    await page.getByText('the service will be down').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('#manage').waitFor({ state: 'hidden' });
    expect(agent.writes).toEqual([]);
    await page.getByRole('button', { name: 'Steer gs-2' }).press('Enter');
    await page.getByLabel('Weight').fill('50');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Set weight 50' }).press('Enter');
    await toast(page, 'set weight 50, done');
    expect(agent.writes).toEqual([{ path: '/v1/services/gs/instances/gs-2/weight', body: { weight: 50 } }]);
  });

  test('an alert is part of the verdict until someone says that they know', async () => {
    agent.alerts.push({
      ...{ id: 'a1', rule: 'p95Ms', service: 'gs', severity: 'critical', acknowledgedAt: null },
      ...{ message: 'p95 of gs is 620 ms (critical at 500)', startedAt: Date.now() - 60_000 },
    });
    const page = await open();
    await heading(page, 'p95 of gs is 620 ms (critical at 500)');
    await page.getByRole('button', { name: 'Acknowledge' }).click();
    await signIn(page);
    await page.locator('#alerts').getByText('acknowledged by dashboard').waitFor();
    await heading(page, 'Everything is all right');
    expect(agent.writes).toEqual([{ path: '/v1/alerts/a1/ack', body: { by: 'dashboard' } }]);
  });

  test('of hundreds of instances the page stays small, tells what is wrong in one line each, and finds any one', async () => {
    await agent.close();
    agent = await startFakeAgent({ fleet: 100, history: false });
    const page = await visit();
    await heading(page, 'Everything is all right');
    for (let number = 1; number <= 48; number++) {
      const reason = `3 of 3 probes failed: connect refused 10.0.0.${number}:8000`;
      agent.changeInstance(`ac/ac-${number}`, { state: 'down', health: 'down' }, reason);
    }
    await heading(page, 'ac: 48 of 100 instances are down');
    await page.locator('#verdict .alone').getByText('3 of 3 probes failed: connect refused').waitFor();
    await page.locator('#events').getByText('48 instances of ac').waitFor();
    await count(page, 'tr.instance.down').toBe(3);
    await page.locator('tr.rest').getByText('and 45 down, 52 up').waitFor();
    expect(await page.evaluate<number>('document.querySelectorAll("*").length')).toBeLessThan(1_500);
    await page.getByRole('button', { name: 'Show all of ac' }).click();
    await page.locator('tr[data-key="ac-100"]').waitFor();
    await page.getByRole('button', { name: 'Show fewer of ac' }).click();
    await page.locator('tr[data-key="ac-100"]').waitFor({ state: 'detached' });
    await page.keyboard.press('/');
    await page.keyboard.type('gs-77');
    // "gs-7" shows gs-77 too, among others.
    await text(page, '#filter-count').toBe('1 match');
    await count(page, 'tr.instance').toBe(1);
    await count(page, 'tr[data-key="gs-77"]').toBe(1);
  });

  test('sessions: listed, filtered, opened; without Postgres it says so and opens the copy', async () => {
    agent.sessions.push(makeSession(1), makeSession(2, { state: 'suspended', currentStep: '<b>vote</b>' }));
    const page = await open();
    await page.locator('#sessions-body').getByText('<b>vote</b>').waitFor();
    await page.getByLabel('State', { exact: true }).selectOption('active');
    await page.locator('#sessions-body').getByText('<b>vote</b>').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: '…000000000001' }).click();
    await page.locator('#session').getByText('gs → gs-1, pgc → pgc-2').waitFor();
    await page.locator('#session').getByRole('button', { name: 'Close' }).click();
    agent.unavailable.postgres = true;
    await page.getByLabel('State', { exact: true }).selectOption('');
    await page.locator('#sessions-body').getByText('Database unavailable').waitFor();
    await page.getByLabel('Session id, or a word to filter by').fill(makeSession(2).id);
    await page.keyboard.press('Enter');
    await page.locator('#session').getByText('this is the copy').waitFor();
    await page.locator('#session').getByText('<b>vote</b>').waitFor();
  });

  test('a steering that is refused, or meets no agent, says why and changes nothing', async () => {
    const page = await open();
    await page.getByRole('button', { name: 'Sign in' }).click();
    await signIn(page);
    await page.getByRole('button', { name: 'Steer gs-1' }).click();
    await page.locator('form[data-steer=maint] button').click();
    const answer = { title: 'Conflict', detail: 'another operator was faster', status: 409 };
    await page.route('**/admin', (route) => route.fulfill({ status: 409, json: answer }));
    const confirm = page.locator('form[data-steer=confirmed]').getByRole('button', { name: 'Maintenance' });
    await confirm.click();
    await page.locator('#manage').getByText('Not done: Conflict: another operator was faster').waitFor();
    await page.unroute('**/admin');
    await page.route('**/admin', (route) => route.abort());
    await confirm.click();
    await page.locator('#manage').getByText('Not done: the agent does not answer').waitFor();
    await page.unroute('**/admin');
    await confirm.click();
    await toast(page, 'gs-1: maintenance, done');
    expect(agent.writes).toHaveLength(1);
  });

  test('what is being typed and pointed at survives the frames that come meanwhile', async () => {
    const page = await open();
    await page.getByRole('button', { name: 'Steer gs-1' }).click();
    await page.getByLabel('Weight').fill('77');
    agent.changeInstance('gs/gs-1', { state: 'probation' }, 'on its way');
    await page.locator('#manage').getByText('on probation').waitFor();
    expect(await page.getByLabel('Weight').inputValue()).toBe('77');
    await count(page, 'input[name=weight]:focus').toBe(1);
  });

  test('says when the news stops, and goes on by itself', async () => {
    const page = await open();
    await page.locator('#connection').getByText('live').waitFor();
    const refuse = (route: { abort(): Promise<void> }) => route.abort();
    await page.route('**/v1/live', refuse);
    agent.dropConnections();
    await page.locator('#connection').getByText('reconnecting').waitFor();
    await page.unroute('**/v1/live', refuse);
    await page.locator('#connection').getByText('live').waitFor();
  });

  test('explain tells which instance would answer and why', async () => {
    const page = await open();
    await page.getByRole('button', { name: 'Explain' }).click();
    await page.locator('#explain-result').getByText('power of two choices by response time').waitFor();
    await page.locator('#explain-result .chosen').getByText('gs-2').waitFor();
  });

  test('text from the network stays text', async () => {
    const page = await open();
    agent.changeInstance(
      'gs/gs-1',
      { state: 'down' },
      '<img src=x onerror="document.title=1"><script>document.title=2</script>',
    );
    await page.locator('#verdict').getByText('<img src=x').waitFor();
    expect(await page.locator('main img, main script').count()).toBe(0);
    const policy = (await fetch(agent.url)).headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'; script-src 'self'");
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
  });

  test.each(['light', 'dark'] as const)(
    'no accessibility fault in the %s theme, wide or narrow',
    async (colorScheme) => {
      agent.changeInstance(
        'gs/gs-1',
        { state: 'down', breaker: 'open' },
        'breaker open: 62 % of 40 calls failed',
      );
      agent.changeInstance('pgc/pgc-1', { state: 'draining', admin: 'drain' }, 'operator asked for drain');
      agent.changeInstance('ec/ec-1', { state: 'probation' }, 'share growing');
      for (const width of [1440, 390]) {
        const page = await open({ colorScheme, viewport: { width, height: 900 }, bypassCSP: true });
        const overflow = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
        expect(overflow, `${width} px wide`).toBeLessThanOrEqual(0);
        await expect.poll(() => faults(page), soon).toEqual([]);
        await page.getByRole('button', { name: 'Steer gs-1' }).click();
        await expect.poll(() => faults(page), soon).toEqual([]);
      }
    },
  );

  test('on a narrow screen words stay whole: sessions and explain become lists', async () => {
    const pins = { ac: 'ac-1', auth: 'auth-2', ec: 'ec-2', fv: 'fv-2', gs: 'gs-1', integrity: 'integrity-1' };
    agent.sessions.push(makeSession(1, { pins }));
    const page = await open({ viewport: { width: 380, height: 800 } });
    await page.getByRole('button', { name: 'Explain' }).click();
    for (const place of ['#sessions-body', '.explanation']) {
      const name = page.locator(`${place} tbody th`).first();
      await name.waitFor();
      for (const cell of [name, page.locator(`${place} tbody td.why`).first()]) {
        expect((await cell.boundingBox())?.width, place).toBeGreaterThan(120);
      }
    }
  });

  async function faults(page: Page): Promise<string[]> {
    await page.evaluate(axe);
    const { violations } = await page.evaluate<AxeResult>('axe.run()');
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary ?? ''}`),
    );
  }
});
