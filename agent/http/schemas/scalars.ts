import { z } from 'zod';

/** Pieces of the answers. */
export const timestamp = z.number().meta({ description: 'epoch milliseconds', example: 1_764_000_000_000 });
export const count = z.number();
