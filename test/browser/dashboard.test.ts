import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { browserPath, launchBrowser } from './browser.ts';
import { type FakeAgent, startFakeAgent } from './fake-agent.ts';
import { makeSession } from './fake-sessions.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** For effects that follow a message or a request later. */
const soon = { timeout: 60_000 };

interface AxeResult {
  violations: { id: string; nodes: { html: string; failureSummary?: string }[] }[];
}

describe.skipIf(!browserPath)('the dashboard in a real browser', { timeout: 120_000 }, () => {
  let browser: Browser;
  let agent: FakeAgent;
  /** Errors of the page and requests to other origins. */
  let violations: string[];

  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser?.close());
  beforeEach(async () => {
    agent = await startFakeAgent();
    violations = [];
  });
  afterEach(async () => {
    // Close the pages first: without the agent their requests fail.
    for (const context of browser.contexts()) await context.close();
    await agent.close();
    expect(violations).toEqual([]);
  });

  async function visit(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    // The page aborts requests after ten seconds, which is too short on a busy test machine.
    await context.addInitScript('AbortSignal.timeout = () => new AbortController().signal');
    const page = await context.newPage();
    page.setDefaultTimeout(soon.timeout);
    page.on('pageerror', (error) => violations.push(error.message));
    page.on('console', (message) => {
      // Tests drop connections and provoke error answers on purpose.
      if (message.type() === 'error' && !/net::ERR_|status of (401|409|503)/.test(message.text()))
        violations.push(message.text());
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(agent.url)) violations.push(`requested ${request.url()}`);
    });
    await page.goto(agent.url);
    return page;
  }
  async function open(options: BrowserContextOptions = {}): Promise<Page> {
    const page = await visit(options);
    await page.getByRole('button', { name: 'Manage gs-1' }).waitFor();
    return page;
  }
  const text = (page: Page, selector: string) =>
    expect.poll(() => page.locator(selector).textContent(), soon);
  const count = (page: Page, selector: string) => expect.poll(() => page.locator(selector).count(), soon);
  /** The toast fades after some seconds, but its text stays in the DOM. */
  const toast = (page: Page, message: string) =>
    page.locator('#toast').getByText(message).waitFor({ state: 'attached' });
  const heading = (page: Page, name: string | RegExp) =>
    page.getByRole('heading', { level: 1, name }).waitFor();
  async function signIn(page: Page, token = agent.token) {
    await page.getByLabel('Token (ACGS_TOKEN)').fill(token);
    await page.locator('#login').getByRole('button', { name: 'Sign in' }).click();
  }

  test('the banner shows health, then what is wrong, why and since when, then recovery', async () => {
    const page = await open();
    await heading(page, 'All services are healthy');
    agent.changeInstance(
      'gs/gs-1',
      { state: 'down', health: 'down' },
      '3 of 3 probes failed: connect refused 127.0.0.1:8004',
    );
    await heading(page, 'gs-1 is down');
    await text(page, '#banner .problem').toMatch(
      /3 of 3 probes failed: connect refused.*Since.*\d\d:\d\d:\d\d.*Notified.*no alert yet.*Do.*Restart/,
    );
    await text(page, '#announce').toContain('gs-1 is down: 3 of 3 probes failed');
    await expect.poll(() => page.title(), soon).toBe('(1) acgs-lb main');
    agent.changeInstance('gs/gs-2', { state: 'down', health: 'down' }, '3 of 3 probes failed: status 503');
    await page.locator('#banner.bad').getByText('gs takes no traffic').waitFor();
    for (const id of ['gs-1', 'gs-2'])
      agent.changeInstance(`gs/${id}`, { state: 'up', health: 'up' }, '2 of 2 probes passed');
    await heading(page, 'All services are healthy');
  });

  test('drain asks for confirmation and the token, rejects a wrong token, then drains', async () => {
    const page = await open();
    await page.getByRole('button', { name: 'Manage gs-1' }).click();
    const dialog = page.locator('#manage');
    await dialog.getByLabel('Then maintenance').selectOption('5m');
    await dialog.getByRole('button', { name: 'Drain' }).click();
    await dialog.getByText('1 other instance of gs keeps serving').waitFor();
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

  test('a running write for one instance does not affect the dialog of another', async () => {
    const page = await open();
    await page.getByRole('button', { name: 'Sign in' }).click();
    await signIn(page);
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
    const release = Promise.withResolvers<void>();
    await page.route('**/gs-1/admin', async (route) => {
      await release.promise;
      await route.continue();
    });
    const dialog = page.locator('#manage');
    await page.getByRole('button', { name: 'Manage gs-1' }).click();
    for (let press = 0; press < 2; press++)
      await dialog.getByRole('button', { name: 'Maintenance', exact: true }).click();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Manage gs-2' }).click();
    await dialog.getByRole('button', { name: 'Drain', exact: true }).click();
    release.resolve();
    await toast(page, 'gs-1: maintenance, done');
    await dialog.getByText('Drain gs-2?').waitFor();
    expect(agent.writes.map(({ path }) => path)).toEqual(['/v1/services/gs/instances/gs-1/admin']);
  });

  test('works by keyboard alone, and warns when no instance would be left', async () => {
    agent.changeInstance('gs/gs-1', { state: 'down', health: 'down' }, 'gone');
    const page = await open();
    await heading(page, 'gs-1 is down');
    await page.getByRole('button', { name: 'Sign in' }).press('Enter');
    await page.locator('#login-token:focus').waitFor();
    await page.keyboard.type(agent.token);
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Sign out' }).waitFor();
    await page.keyboard.press('/');
    await page.locator('#filter-text:focus').waitFor();
    await page.keyboard.type('gs-2');
    await page.locator('tr[data-key="auth-1"]').waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Manage gs-2' }).press('Enter');
    await page.locator('form[data-operation=maint] button').press('Enter');
    await page.getByText('the service will be down').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('#manage').waitFor({ state: 'hidden' });
    expect(agent.writes).toEqual([]);
    await page.getByRole('button', { name: 'Manage gs-2' }).press('Enter');
    await page.getByLabel('Weight').fill('50');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Set weight 50' }).press('Enter');
    await toast(page, 'set weight 50, done');
    expect(agent.writes).toEqual([{ path: '/v1/services/gs/instances/gs-2/weight', body: { weight: 50 } }]);
  });

  test('an alert is in the banner until it is acknowledged', async () => {
    const startedAt = Date.now() - 60_000;
    agent.alerts.push({
      id: 'a1',
      rule: 'p95Ms',
      subject: '',
      service: 'gs',
      severity: 'critical',
      state: 'firing',
      value: 620,
      threshold: 500,
      message: 'p95 of gs is 620 ms (critical at 500)',
      startedAt,
      changedAt: startedAt,
      resolvedAt: null,
      acknowledgedAt: null,
      acknowledgedBy: null,
      notified: 1,
      silenced: false,
    });
    const page = await open();
    await heading(page, 'p95 of gs is 620 ms (critical at 500)');
    await page.getByRole('button', { name: 'Acknowledge' }).click();
    await signIn(page);
    await page.locator('#alerts').getByText('acknowledged by dashboard').waitFor();
    await heading(page, 'All services are healthy');
    expect(agent.writes).toEqual([{ path: '/v1/alerts/a1/ack', body: { by: 'dashboard' } }]);
  });

  test('with hundreds of instances the page stays small, groups problems, and finds any instance', async () => {
    await agent.close();
    agent = await startFakeAgent({ fleet: 100, history: false });
    const page = await visit();
    await heading(page, 'All services are healthy');
    for (let number = 1; number <= 48; number++) {
      const reason = `3 of 3 probes failed: connect refused 10.0.0.${number}:8000`;
      agent.changeInstance(`ac/ac-${number}`, { state: 'down', health: 'down' }, reason);
    }
    await heading(page, 'ac: 48 of 100 instances are down');
    await page.locator('#banner .problem').getByText('3 of 3 probes failed: connect refused').waitFor();
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
    // Typing passes through "gs-7", which matches more instances.
    await text(page, '#filter-count').toBe('1 match');
    await count(page, 'tr.instance').toBe(1);
    await count(page, 'tr[data-key="gs-77"]').toBe(1);
  });

  test('sessions: list, filter, open; without Postgres an error and the copy in Redis', async () => {
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
    await page.getByLabel('Session id or filter text').fill(makeSession(2).id);
    await page.keyboard.press('Enter');
    await page.locator('#session').getByText('this is the copy in Redis').waitFor();
    await page.locator('#session').getByText('<b>vote</b>').waitFor();
  });

  test('a write that is rejected or finds no agent shows why and can be repeated', async () => {
    const page = await open();
    await page.getByRole('button', { name: 'Sign in' }).click();
    await signIn(page);
    await page.getByRole('button', { name: 'Manage gs-1' }).click();
    await page.locator('form[data-operation=maint] button').click();
    const answer = { title: 'Conflict', detail: 'another operator was faster', status: 409 };
    await page.route('**/admin', (route) => route.fulfill({ status: 409, json: answer }));
    const confirm = page
      .locator('form[data-operation=confirmed]')
      .getByRole('button', { name: 'Maintenance' });
    await confirm.click();
    await page.locator('#manage').getByText('Failed: Conflict: another operator was faster').waitFor();
    await page.unroute('**/admin');
    await page.route('**/admin', (route) => route.abort());
    await confirm.click();
    await page.locator('#manage').getByText('Failed: the agent does not answer').waitFor();
    await page.unroute('**/admin');
    await confirm.click();
    await toast(page, 'gs-1: maintenance, done');
    expect(agent.writes).toHaveLength(1);
  });

  test('input and focus survive updates of the page', async () => {
    const page = await open();
    await page.getByRole('button', { name: 'Manage gs-1' }).click();
    await page.getByLabel('Weight').fill('77');
    agent.changeInstance('gs/gs-1', { state: 'probation' }, 'on its way');
    await page.locator('#manage').getByText('on probation').waitFor();
    expect(await page.getByLabel('Weight').inputValue()).toBe('77');
    await count(page, 'input[name=weight]:focus').toBe(1);
  });

  test('reports a lost connection and reconnects', async () => {
    const page = await open();
    await page.locator('#connection').getByText('live').waitFor();
    const refuse = (route: { abort(): Promise<void> }) => route.abort();
    await page.route('**/v1/live', refuse);
    agent.dropConnections();
    await page.locator('#connection').getByText('reconnecting').waitFor();
    await page.unroute('**/v1/live', refuse);
    await page.locator('#connection').getByText('live').waitFor();
  });

  test('explain shows which instance would answer and why', async () => {
    const page = await open();
    await page.getByRole('button', { name: 'Explain' }).click();
    await page.locator('#explain-result').getByText('power of two choices by response time').waitFor();
    await page.locator('#explain-result .chosen').getByText('gs-2').waitFor();
  });

  test('from the overview to a service, an instance, another period, and back by a shared link', async () => {
    agent.changeInstance('gs/gs-1', { state: 'down', health: 'down' }, 'connect refused');
    const page = await open();
    const problem = page.locator('#banner .problem');
    await problem.getByText('Restart the failed instance').waitFor();
    await page.locator('#strip').getByRole('link', { name: /^gs/ }).click();
    await page.getByRole('heading', { name: 'Service gs' }).waitFor();
    await page.locator('#subject .members').getByText('50.0 %').first().waitFor();
    await count(page, '#plots canvas').toBe(3);
    await page.getByRole('link', { name: '24 hours' }).click();
    await count(page, '#plots canvas').toBe(8);
    await page.locator('#subject').getByRole('link', { name: 'gs-1' }).click();
    await page.getByRole('heading', { name: 'Instance gs-1' }).waitFor();
    await page.locator('#subject').getByText('failed, 2.4 ms').waitFor();
    await page.locator('#plots').getByText('Latency against peers').waitFor();
    expect(await page.title()).toBe('gs-1 · (1) acgs-lb main');

    await page.getByRole('link', { name: '7 days' }).click();
    await expect.poll(() => page.url(), soon).toMatch(/#\/gs\/gs-1\?range=7d$/);
    // With the date: the lane of the week, no longer the one of the day.
    await text(page, '.lane-ends').toMatch(/^\S+ \S+ \d\d:\d\d/);
    const mark = page.locator('.mark-button.bad').first();
    await mark.focus();
    await page.locator('#tip.shown').getByText('gs-1 down 3 of 3 probes failed').waitFor();
    await mark.press('Enter');
    await text(page, '#event-list li:focus').toContain('gs-1 down 3 of 3 probes failed');
    await page.getByLabel('Kind').selectOption('rollout');
    await count(page, '#event-list li').toBe(1);

    await page.locator('#plots .plot-area').first().press('ArrowLeft');
    await text(page, '#plots .plot:first-child .plot-when').toMatch(/\d\d:\d\d/);
    const { x, y, width } = (await page.locator('#plots .u-over').first().boundingBox()) ?? {
      x: 0,
      y: 0,
      width: 0,
    };
    await page.mouse.move(x + width * 0.5, y + 40);
    await page.mouse.down();
    await page.mouse.move(x + width * 0.75, y + 40, { steps: 4 });
    await page.mouse.up();
    await expect.poll(() => page.url(), soon).toMatch(/#\/gs\/gs-1\?since=\d+&until=\d+$/);
    const shared = page.url();

    const other = await open();
    await other.goto(shared);
    await other.getByRole('heading', { name: 'Instance gs-1' }).waitFor();
    await other.locator('.custom-range').waitFor();
    await count(other, '#plots canvas').toBe(10);
    await other.goBack();
    await other.getByRole('button', { name: 'Manage gs-2' }).waitFor();
  });

  test('without a database the page says so, and live figures continue', async () => {
    agent.unavailable.postgres = true;
    const page = await open();
    await page.getByRole('link', { name: '1 hour' }).click();
    await page.locator('#history-state').getByText('Postgres does not answer').waitFor();
    agent.changeInstance('gs/gs-1', { state: 'down', health: 'down' }, 'connect refused');
    await heading(page, 'gs-1 is down');
    await page.getByRole('link', { name: 'Live 5 min' }).click();
    await count(page, '#plots canvas').toBe(3);
  });

  test('a page left open keeps its charts and its size', async () => {
    const page = await open();
    await count(page, '#plots canvas').toBe(3);
    const elements = () => page.evaluate<number>('document.querySelectorAll("*").length');
    const before = await elements();
    const day = 86_400_000;
    for (let at = 0; at < 20; at++) {
      await page.goto(`${agent.url}/#/gs?since=${at * day + 1}&until=${at * day + day}`);
      await page.locator('#event-list li').first().waitFor();
    }
    await page.goto(`${agent.url}/#/`);
    await page.getByRole('button', { name: 'Manage gs-1' }).waitFor();
    await count(page, '#plots canvas').toBe(3);
    expect(await elements()).toBeLessThan(before + 100);
  });

  test('text from the network stays text', async () => {
    const page = await open();
    agent.changeInstance(
      'gs/gs-1',
      { state: 'down' },
      '<img src=x onerror="document.title=1"><script>document.title=2</script>',
    );
    await page.locator('#banner').getByText('<img src=x').waitFor();
    expect(await page.locator('main img, main script').count()).toBe(0);
    const policy = (await fetch(agent.url)).headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'; script-src 'self'");
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
  });

  test.each(['light', 'dark'] as const)(
    'no accessibility violation in the %s theme, wide or narrow',
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
        await expect.poll(() => accessibilityViolations(page), soon).toEqual([]);
        await page.getByRole('button', { name: 'Manage gs-1' }).click();
        await expect.poll(() => accessibilityViolations(page), soon).toEqual([]);
        for (const hash of ['#/gs?range=1h', '#/gs/gs-1?range=7d']) {
          const subject = await visit({ colorScheme, viewport: { width, height: 900 }, bypassCSP: true });
          await subject.goto(`${agent.url}/${hash}`);
          await subject.locator('#event-list li').first().waitFor();
          const wide = await subject.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
          expect(wide, `${hash}, ${width} px wide`).toBeLessThanOrEqual(0);
          await expect.poll(() => accessibilityViolations(subject), soon).toEqual([]);
        }
      }
    },
  );

  test('on a narrow screen sessions and explain become lists with readable cells', async () => {
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

  async function accessibilityViolations(page: Page): Promise<string[]> {
    await page.evaluate(axe);
    const { violations } = await page.evaluate<AxeResult>('axe.run()');
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary ?? ''}`),
    );
  }
});
