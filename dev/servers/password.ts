import { randomBytes } from 'node:crypto';

/** Letters and digits alone: it goes into URLs and command lines as it is. */
export const newPassword = (): string => randomBytes(18).toString('hex');
