import { DurableObject } from 'cloudflare:workers';
import type { Env } from './env.ts';

/** One object per key of a global limit: hands out leases. */
export class Limiter extends DurableObject<Env> {}
