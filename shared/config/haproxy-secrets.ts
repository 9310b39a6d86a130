/** Replaces a secret in everything that is shown. */
export const HIDDEN = '(hidden)';

const VALUE = String.raw`(?:"(?:\\.|[^"\\\n])*"?|'[^'\n]*'?|(?:\\.|[^\s\\])+)`;
const SECRET_NAME = String.raw`[\w.-]{0,64}(?:auth|cookie|credential|key|passw|secret|session|token)[\w.-]{0,64}`;

/** Where HAProxy's language holds secrets: each pattern has what stays in front in its first group. */
const SECRETS: readonly RegExp[] = [
  new RegExp(String.raw`(\b(?:stats\s+auth|(?:insecure-)?password)\s+)${VALUE}`, 'gi'),
  new RegExp(String.raw`(\b(?:pre)?setenv\s+\S+\s+)${VALUE}`, 'gi'),
  // A check that logs in.
  new RegExp(String.raw`(\btcp-check\s+send(?:-[a-z-]+)?\s+)${VALUE}`, 'gi'),
  // A field that is set, and the condition that compares one.
  new RegExp(
    String.raw`(\b(?:(?:set|add)-header|replace-(?:header|value)|hdr)\s+${SECRET_NAME}\s+)\S[^\n]*`,
    'gi',
  ),
  new RegExp(
    String.raw`(\b(?:[a-z_]{0,16}hdr|[a-z_]{0,16}cook|urlp|url_param)[a-z_]{0,16}\(${SECRET_NAME}[^)\n]{0,200}\))[^}\n]+`,
    'gi',
  ),
  /(\b(?:hmac|aes_[a-z_]+|jwt_verify)\()[^)\n]*/gi,
  /(:\/\/[^\s/@:]*:)[^\s/@]+(?=@)/g,
];

/** The text of a HAProxy configuration, for eyes and logs. */
export const hideHaproxySecrets = (text: string): string =>
  SECRETS.reduce((shown, pattern) => shown.replace(pattern, `$1${HIDDEN}`), text);
