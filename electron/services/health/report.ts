import { dirname } from 'node:path';
import { writeWhole } from '../../files/files.ts';
import { makeFolder, requireOutput } from '../../files/outputs.ts';
import type { Store } from '../../store/store.ts';
import type { HealthAsked } from '../ground/jobs.ts';
import { type HealthReport, measureHealth } from './health.ts';
import { healthPage } from './page.ts';
import { type Finding, findingsOf } from './verdict.ts';

export const HEALTH_ENDINGS = ['.html', '.htm'];

/** Measures, and writes the report as one HTML file. @throws AppError as `requireOutput`, `measureHealth` */
export async function writeHealthReport(
  store: Store,
  { file, replace = false, ...ask }: HealthAsked,
  {
    signal,
    onProgress,
  }: { signal?: AbortSignal; onProgress?: (done: number, total: number, what: string) => void } = {},
): Promise<HealthReport & { findings: Finding[]; file: string }> {
  const path = requireOutput(file, { endings: HEALTH_ENDINGS, replace, makesFolder: true });
  const report = await measureHealth(store, ask, onProgress, signal);
  makeFolder(dirname(path));
  writeWhole(path, [Buffer.from(healthPage(store, report))], { replace });
  return { ...report, findings: findingsOf(report, store.checkpoints.get(report.checkpoint.id).config), file: path };
}
