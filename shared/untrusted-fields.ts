/**
 * Request fields that are removed at both ends. An instance could take them for fields that a proxy has set, or for another
 * path or method than the one that was checked. A name with "_" is removed because CGI, WSGI and PHP read it as "-".
 */
export const UNTRUSTED_NAMES =
  'proxy|front-end-https|true-client-ip|x-(original|rewrite|override|accel|sendfile|http-method|method)(-.*)?|x-forwarded-(?!(for|proto|host)$).*|x-(real|client|cluster-client|true-client|remote)-(ip|addr)|x-host|x-scheme|x-url-scheme';
export const UNTRUSTED_FIELDS = `_|^(${UNTRUSTED_NAMES})$`;

const untrusted = new RegExp(UNTRUSTED_FIELDS);

/** `name` is in lower case. */
export const isUntrustedField = (name: string): boolean => untrusted.test(name);
