import type { Context } from 'hono';

const MAX_NAME_LENGTH = 64;

/**
 * The author of a change: the name of the token, and after a slash the name that the client gives, which is not verified.
 * Neither contains a slash, so the first part is always the token.
 */
export function actorOf(context: Context, given = context.req.header('x-acgs-actor')): string {
  const token = context.get('tokenName') ?? 'api';
  const name = given?.replace(/[^\p{L}\p{N}_@.+ -]/gu, '').slice(0, MAX_NAME_LENGTH);
  return name ? `${token}/${name}` : token;
}
