import { randomBytes } from 'node:crypto';

/** Hexadecimal, so that it needs no escaping in URLs and command lines. */
export const newPassword = (): string => randomBytes(18).toString('hex');
