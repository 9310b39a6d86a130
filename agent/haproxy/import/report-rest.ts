import type { ImportReport } from './file/report.ts';
import { keywordOf, type ParsedFile, type Section, type Statement } from './file/sections.ts';
import type { ImportMode, ImportPlan } from './plan.ts';
import { COVERED } from './services/service.ts';

/** Reports the statements that no part of the proposal has reported. */
export function reportRest(file: ParsedFile, plan: ImportPlan, mode: ImportMode): void {
  const { report } = plan;
  for (const statement of file.stray)
    report.refuse(statement, statement.problem ?? 'it is before the first section');
  for (const section of file.sections) {
    if (plan.proxyOf.has(section) && section.kind !== 'frontend') reportHead(section, plan, mode);
    for (const statement of [section.head, ...section.body]) {
      if (report.has(statement)) continue;
      if (mode === 'beside') report.keep(statement, 'your own file');
      else reportUnused(statement, section, report);
    }
  }
}

/** A backend or a listen section: its service, or why it stays as it is. */
function reportHead({ name, head }: Section, { services, kept, report }: ImportPlan, mode: ImportMode): void {
  const why = kept.get(name);
  if (why !== undefined) report.keep(head, `${placeOf(mode)}; ${why}`);
  else if (services.has(name) && !report.has(head)) report.take(head, `services.${name}`);
}

const placeOf = (mode: ImportMode): string => (mode === 'beside' ? 'your own file' : 'haproxy.extra.other');

/** A `defaults` section that only services use. */
function reportUnused(statement: Statement, section: Section, report: ImportReport): void {
  const keyword = keywordOf(statement);
  const isCovered = statement === section.head || keyword in COVERED || keyword.startsWith('timeout ');
  if (isCovered) report.take(statement, 'the services that use these defaults');
  else report.refuse(statement, 'acgs-lb has one defaults section; set it in haproxy.extra.services');
}
