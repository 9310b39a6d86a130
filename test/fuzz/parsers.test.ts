import { test } from 'vitest';
import { fuzz } from './property.ts';
import { FUZZ_TARGETS } from './targets/index.ts';

test.each(FUZZ_TARGETS)('$name: $holds', (target) => fuzz(target));
