import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Application, type ApplicationCheck, type ApplicationWay, WAYS } from './application.ts';
import { APPLICATIONS } from './applications.ts';
import { type ApplicationBed, startApplications } from './bed.ts';
import { applicationsPage } from './page.ts';

/**
 * Real applications behind the edge and HAProxy. `npm run apps` runs everything; `npm test` a part without the slow checks
 * and with less data.
 */
const short = process.env.ACGS_APPS !== 'all';
const wanted = APPLICATIONS.filter(({ slow = false }) => !(short && slow));
const present = wanted.filter((application) => application.missing() === null);
let bed: ApplicationBed;

beforeAll(async () => {
  bed = await startApplications(present);
});

describe.each(wanted.map((application) => [application.name, application] as const))(
  '%s',
  (_, application) => {
    const missing = application.missing();
    if (missing !== null) {
      test.skip(`${missing} is not installed`, () => {});
      return;
    }
    const checks = application.checks.filter(({ slow = false }) => !(short && slow));
    for (const check of checks) {
      test.each(WAYS)(`${check.what}: %s`, (way) => runCheck(application, check, way));
    }
  },
);

async function runCheck(
  application: Application,
  check: ApplicationCheck,
  way: ApplicationWay,
): Promise<void> {
  const folder = bed.folderOf(application);
  mkdirSync(join(folder), { recursive: true });
  const running = check.run({ way, url: bed.urlOf(application, way), folder, short });
  const known = check.fails?.[way];
  if (known === undefined) await running;
  // When it works, the page is wrong.
  else await expect(running).rejects.toThrow(known.error);
}

test('docs/applications.md matches the results of the suite', async () => {
  await expect(applicationsPage(APPLICATIONS)).toMatchFileSnapshot('../../docs/applications.md');
});
