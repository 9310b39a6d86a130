import type { AlertRule } from './alert.ts';

export interface AlertLinks {
  /** Public URL of the dashboard. */
  dashboardUrl?: string | undefined;
  /** Public URL of the page with the runbook sections. */
  runbookUrl?: string | undefined;
}

/** The section of docs/incident.md for each rule. */
export const RUNBOOK_SECTIONS: Readonly<Record<AlertRule, string>> = {
  p95Ms: 'alert-slow',
  availabilityPercent: 'alert-requests-fail',
  errorPercent: 'alert-requests-fail',
  users: 'alert-overload',
  cpuPercent: 'alert-overload',
  memoryPercent: 'alert-overload',
  instanceDown: 'alert-instance-down',
  redundancyLost: 'alert-instance-down',
  serviceDown: 'alert-instance-down',
  outlier: 'alert-outlier',
  instanceFull: 'alert-full',
  sinkFailing: 'alert-a-store-or-haproxy-takes-no-updates',
  edgeSilent: 'alert-the-edge-is-silent',
  snapshotNotTaken: 'alert-snapshot-not-taken',
  configRefused: 'alert-configuration-refused',
  sourceFailing: 'alert-a-source-of-instances-fails',
  listRefused: 'alert-a-source-of-instances-fails',
  receiverFailing: 'alert-a-receiver-fails',
  certificateExpiry: 'certificate-expiry',
  spoolDisk: 'alert-spool-or-disk-nearly-full',
};

/** The section for a rule of any version of the agent. */
export const runbookSection = (rule: string): string =>
  new Map(Object.entries(RUNBOOK_SECTIONS)).get(rule) ?? 'incident';

/** The dashboard's page of the service, or its overview. */
export function dashboardLink({ dashboardUrl }: AlertLinks, service: string): string | null {
  if (!dashboardUrl) return null;
  const url = new URL(dashboardUrl);
  url.hash = `/${encodeURIComponent(service)}`;
  return url.href;
}

export const runbookLink = ({ runbookUrl }: AlertLinks, rule: AlertRule): string =>
  `${runbookUrl ?? 'docs/incident.md'}#${RUNBOOK_SECTIONS[rule]}`;
