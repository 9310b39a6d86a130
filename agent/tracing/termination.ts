/** HAProxy's termination states in words: who ended the request, and in which phase. Its manual, section 8.5. */
const SENTENCES: Record<string, string> = {
  CC: 'the client closed the connection while HAProxy connected to the instance',
  CD: 'the client closed the connection during the transfer',
  CH: 'the client closed the connection while it waited for the response',
  CL: 'the client closed the connection before the end of the response',
  CQ: 'the client closed the connection while the request waited in the queue',
  CR: 'the client closed the connection before its request was complete',
  cD: 'the client was silent for too long during the transfer',
  cH: 'the client was silent for too long while HAProxy waited for the response',
  cR: 'the client did not send its complete request in time',
  LR: 'HAProxy answered by itself, for example with a redirect',
  PC: 'HAProxy could not make the connection: a limit of the process was reached',
  PD: 'HAProxy found invalid data in the transfer',
  PH: 'HAProxy rejected the response: it is invalid or too large',
  PR: 'HAProxy refused the request: it is invalid, not allowed, or over a limit',
  RC: 'HAProxy had no resources left to connect: ports, sockets or memory',
  SC: 'the instance refused the connection, or no instance was available',
  SD: 'the instance closed the connection during the transfer',
  SH: 'the instance closed the connection before its response headers were complete',
  sC: 'the instance did not accept the connection in time',
  sD: 'the instance was silent for too long during the transfer',
  sH: 'the instance did not send response headers in time',
  sQ: 'the request waited in the queue for too long: all connections of the instance were in use',
};

const WHO: Record<string, string> = {
  C: 'the client ended the connection',
  S: 'the instance ended the connection',
  P: 'HAProxy ended the request',
  L: 'HAProxy answered by itself',
  R: 'HAProxy had no resources left',
  I: 'HAProxy had an internal error',
  D: 'HAProxy ended the connection because the instance was marked down',
  U: 'HAProxy ended the connection to a backup because an instance came back',
  K: 'the connection was ended by a command on the admin socket',
  c: 'the client was silent for too long',
  s: 'the instance was silent for too long',
};

const PHASE: Record<string, string> = {
  R: 'while the request arrived',
  Q: 'while the request waited in the queue',
  C: 'during the connection to the instance',
  H: 'before the response headers',
  D: 'during the transfer',
  L: 'at the end of the response',
  T: 'while the request was delayed',
};

/** A sentence without a full stop; null for a normal end. `flags`: two letters. */
export function describeTermination(flags: string): string | null {
  const [who = '-', phase = '-'] = flags;
  if (who === '-') return null;
  const known = SENTENCES[who + phase];
  if (known) return known;
  const reason = WHO[who] ?? `HAProxy reports the state ${flags}`;
  return PHASE[phase] ? `${reason} ${PHASE[phase]}` : reason;
}
