/**
 * SQLSTATE classes of errors that the same rows always cause: data exception and integrity constraint violation. Other
 * errors (no connection, no table, no permission, no disk space) can be repaired, so the rows wait.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const PERMANENT_CLASSES = ['22', '23'];

/** True for an error that every attempt with the same rows would cause. */
export function isPermanentError(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // 23514 "no partition found for row" is a race with retention: the next attempt creates the partition.
  const missingPartition = code === '23514' && error.message.includes('no partition');
  return code.length === 5 && PERMANENT_CLASSES.includes(code.slice(0, 2)) && !missingPartition;
}
