/** Ids are used in HAProxy's configuration, Redis keys, URLs and cookies. None of these characters is special there. */
export const ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
