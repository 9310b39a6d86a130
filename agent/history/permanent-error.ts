/**
 * SQLSTATE classes that the same rows will meet again however often they are sent: data exceptions and broken
 * constraints. All else (no connection, no table yet, no rights, no room) is somebody's to mend, so the rows wait.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const POISON_CLASSES = ['22', '23'];

/** True when this batch can never be written. */
export function isPermanentError(error: Error): boolean {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // 23514 "no partition found for row": a race with retention; the next try makes the partition.
  const partition = code === '23514' && error.message.includes('no partition');
  return code.length === 5 && POISON_CLASSES.includes(code.slice(0, 2)) && !partition;
}
