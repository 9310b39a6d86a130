import type { AlertMessage } from '../message.ts';

const COLORS = {
  warning: '#d97706',
  critical: '#dc2626',
  emergency: '#7f1d1d',
  resolved: '#15803d',
} as const;

/** `#rrggbb`. */
export const colorOf = ({ event, severity }: AlertMessage): string =>
  event === 'resolved' ? COLORS.resolved : COLORS[severity];
