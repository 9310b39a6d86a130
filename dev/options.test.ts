import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { HELP } from './options.mjs';

test('docs/local-stack.md contains the help text of npm start', () => {
  const page = readFileSync(new URL('../docs/local-stack.md', import.meta.url), 'utf8');
  expect(page).toContain(`\`\`\`\n${HELP}\`\`\`\n`);
});
