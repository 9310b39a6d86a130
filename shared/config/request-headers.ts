import { z } from 'zod';
import { FIELD_VALUE, headerName, isFieldValue, SECRET_FORM, variableName } from './scalars.ts';

/** A header that authenticates has its secret from the environment, optionally after a scheme: `Bearer ${TOKEN}`. */
const SECRET_HEADER = /auth|cookie|token|key|secret|password|signature/i;
const isReference = (text: string): boolean => variableName(text.replace(/^[A-Za-z]+ /, '')) !== null;

export const requestHeaders = z
  .record(headerName, z.string())
  .default({})
  .superRefine((fields, context) => {
    for (const [name, value] of Object.entries(fields)) {
      const hidden = SECRET_HEADER.test(name) && !isReference(value);
      if (!hidden && isFieldValue(value)) continue;
      const message = hidden ? SECRET_FORM : FIELD_VALUE;
      context.addIssue({ code: 'custom', message, path: [name], input: value });
    }
  })
  .meta({ title: 'Header fields to send; a field that authenticates names an environment variable' });
