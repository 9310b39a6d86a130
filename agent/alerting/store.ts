import { SEVERITIES } from '../../shared/config/monitor.ts';
import type { Database } from '../history/sql/database.ts';
import type { HistoryWriter } from '../history/writer.ts';
import type { AlertRecord, AlertRule } from './alert.ts';
import type { Severity } from './severity.ts';
import type { Silence } from './silences.ts';

/** Alerts are history: they pass through the writer and its spool. Silences go straight to the database, where all agents read them. */
export interface AlertStore {
  save(alerts: readonly AlertRecord[]): void;
  /** Saves the acknowledgement at the current severity, and no other field. */
  acknowledge(alert: AlertRecord): void;
  firing(): Promise<AlertRecord[]>;
  recent(limit: number): Promise<AlertRecord[]>;
  silences(now: number): Promise<Silence[]>;
  saveSilence(silence: Silence): Promise<void>;
  removeSilence(id: string): Promise<void>;
}

interface AlertRow {
  id: string;
  rule: AlertRule;
  service_type: string;
  instance_id: string;
  severity: Severity;
  state: AlertRecord['state'];
  value: number;
  threshold: number;
  message: string;
  started_at: number;
  changed_at: number;
  resolved_at: number | null;
  acknowledged_at: number | null;
  acknowledged_by: string | null;
  notified: number;
  told_at: number | null;
  told_as: string | null;
}

export function createAlertStore(database: Database, writer: Pick<HistoryWriter, 'write'>): AlertStore {
  return {
    save: (alerts) => writer.write(alerts.map((alert) => ({ table: 'alerts', row: toRow(alert) }))),
    acknowledge(alert) {
      const { id, severity, acknowledged_at, acknowledged_by } = toRow(alert);
      writer.write([{ table: 'alert_acks', row: { id, severity, acknowledged_at, acknowledged_by } }]);
    },
    async firing() {
      const { rows } = await database.query<AlertRow>(
        "SELECT * FROM alerts WHERE site = $1 AND state = 'firing'",
        [database.site],
      );
      return rows.map(fromRow);
    },
    async recent(limit) {
      const { rows } = await database.query<AlertRow>(
        'SELECT * FROM alerts WHERE site = $2 ORDER BY started_at DESC LIMIT $1',
        [limit, database.site],
      );
      return rows.map(fromRow);
    },
    async silences(now) {
      const { rows } = await database.query<{
        id: string;
        rule: string;
        service_type: string;
        until_at: number;
        reason: string;
        created_by: string;
      }>('SELECT * FROM alert_silences WHERE site = $2 AND until_at > $1 ORDER BY until_at', [
        now / 1000,
        database.site,
      ]);
      return rows.map((row) => ({
        id: row.id,
        rule: row.rule,
        service: row.service_type,
        until: Math.round(row.until_at * 1000),
        reason: row.reason,
        createdBy: row.created_by,
      }));
    },
    async saveSilence({ id, rule, service, until, reason, createdBy }) {
      await database.query(
        `INSERT INTO alert_silences (id, rule, service_type, until_at, reason, created_by, site)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING`,
        [id, rule, service, until / 1000, reason, createdBy, database.site],
      );
    },
    async removeSilence(id) {
      await database.query('DELETE FROM alert_silences WHERE id = $1 AND site = $2', [id, database.site]);
    },
  };
}

const toSeconds = (ms: number | null): number | null => (ms === null ? null : ms / 1000);
const toMs = (seconds: number): number => Math.round(seconds * 1000);

function toRow(alert: AlertRecord) {
  return {
    id: alert.id,
    rule: alert.rule,
    service_type: alert.service,
    instance_id: alert.subject,
    severity: alert.severity,
    state: alert.state,
    value: alert.value,
    threshold: alert.threshold,
    message: alert.message,
    started_at: alert.startedAt / 1000,
    changed_at: alert.changedAt / 1000,
    resolved_at: toSeconds(alert.resolvedAt),
    acknowledged_at: toSeconds(alert.acknowledgedAt),
    acknowledged_by: alert.acknowledgedBy,
    notified: alert.notified,
    told_at: toSeconds(alert.lastNotifiedAt),
    told_as: alert.notifiedSeverities.join(','),
  };
}

function fromRow(row: AlertRow): AlertRecord {
  const instant = (seconds: number | null): number | null => (seconds === null ? null : toMs(seconds));
  // Rows from before this column existed: the notification was sent at the row's severity.
  const toldAs = (row.told_as ?? (row.told_at === null ? '' : row.severity)).split(',');
  return {
    id: row.id,
    rule: row.rule,
    service: row.service_type,
    subject: row.instance_id,
    severity: row.severity,
    state: row.state,
    value: row.value,
    threshold: row.threshold,
    message: row.message,
    startedAt: toMs(row.started_at),
    changedAt: toMs(row.changed_at),
    resolvedAt: instant(row.resolved_at),
    acknowledgedAt: instant(row.acknowledged_at),
    acknowledgedBy: row.acknowledged_by,
    notified: row.notified,
    lastNotifiedAt: instant(row.told_at),
    notifiedSeverities: SEVERITIES.filter((severity) => toldAs.includes(severity)),
    recoveryCount: 0,
    recurring: false,
  };
}
