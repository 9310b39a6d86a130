import type { InstanceConfig, ServiceConfig } from '../../shared/config/config.ts';
import type { AdminState, Change, Evidence, Instance, InstanceOrigin } from './state.ts';

/** Where an instance comes from, and its settings there. */
export interface InstanceSource extends InstanceConfig {
  service: string;
  origin: InstanceOrigin;
  /** The source that lists it, such as "dns web.internal". */
  source?: string;
  /** Milliseconds after which a registration without a heartbeat expires. */
  ttl?: number;
}

/** Why a change is made, and who requested it. */
export interface Reason {
  reason: string;
  /** The requester, for the audit trail. Absent when the agent acts by itself. */
  by?: string;
}

/** A request by an operator, by an instance, or by the configuration file. */
export type JudgeCommand =
  | ({ kind: 'register'; source: InstanceSource; known: boolean } & Reason)
  | ({ kind: 'deregister'; service: string; instance: string } & Reason)
  | ({ kind: 'admin'; service: string; instance: string; admin: AdminState; deadline?: number } & Reason)
  | ({ kind: 'weight'; service: string; instance: string; weight: number } & Reason)
  | { kind: 'heartbeat'; service: string; instance: string };

/** `tick` lets time pass: breakers become half-open, slow starts end, drains and registrations expire. */
export type JudgeEvent = Evidence | JudgeCommand | { kind: 'tick' };

export type ServicePolicies = Readonly<{ [service: string]: ServiceConfig }>;

/** The result of one event: new and replaced records, keys of removed records, and the changes to report. */
export interface StepResult<R> {
  records: R[];
  removed: string[];
  changes: Change[];
}

/** A pure function that applies one event to all records. The keys are `service/instance`. */
export type JudgeStep<R extends { readonly instance: Instance }> = (
  records: ReadonlyMap<string, R>,
  event: JudgeEvent,
  policies: ServicePolicies,
  now: number,
) => StepResult<R>;
