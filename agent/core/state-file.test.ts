import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createStateFile, loadSavedRecords } from './state-file.ts';

test('the records are read back as they were, and the file is one JSON document', async () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'acgs-state-'));
  const failed = (error: unknown) => {
    throw error;
  };
  try {
    for (const count of [0, 1, 50, 51, 1_234]) {
      const records = Array.from({ length: count }, (_, index) => ({ id: `gs-${index}`, note: '"ä\n' }));
      const file = createStateFile({ stateDir, records: () => records, onError: failed, now: () => 7 });
      await file.close();
      expect(await loadSavedRecords(stateDir, failed)).toEqual(records);
      const document: unknown = JSON.parse(readFileSync(join(stateDir, 'judged.json'), 'utf8'));
      expect(document).toEqual({ v: 1, savedAt: 7, records });
    }
  } finally {
    rmSync(stateDir, { recursive: true });
  }
});
