import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Path of Chromium: ACGS_CHROMIUM or the system's; null when neither exists. */
export const browserPath: string | null =
  process.env.ACGS_CHROMIUM ?? PATHS.find((path) => existsSync(path)) ?? null;

export function launchBrowser(): Promise<Browser> {
  if (!browserPath) throw new Error('Chromium is not installed');
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
