import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** The system's Chromium, or null where there is none. ACGS_CHROMIUM names another. */
export const browserPath: string | null =
  process.env.ACGS_CHROMIUM ?? PATHS.find((path) => existsSync(path)) ?? null;

export function launchBrowser(): Promise<Browser> {
  if (!browserPath) throw new Error('no Chromium here');
  return chromium.launch({
    executablePath: browserPath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
