import { dirname } from 'node:path';
import type { HealthShown } from '../../../shared/contract/evaluation.ts';
import { type Finding, flatHealth } from '../../../shared/health.ts';
import { writeWhole } from '../../files/files.ts';
import { makeFolder, requireOutput } from '../../files/outputs.ts';
import type { Store } from '../../store/store.ts';
import type { HealthAsked } from '../ground/jobs.ts';
import { findingsOf, measureHealth } from './health.ts';
import { healthBody, healthPage } from './page.ts';

export const HEALTH_ENDINGS = ['.html', '.htm'];

/** Measures, and gives the report as a window shows it. @throws AppError as `measureHealth` */
export async function showHealth(
  store: Store,
  ask: { checkpoint: number; dataset: number },
  onProgress: (done: number, total: number, what: string) => void,
): Promise<HealthShown> {
  return { html: await healthBody(store, await measureHealth(store, ask, onProgress)) };
}

/** Measures, and writes the report as one HTML file. @throws AppError as `requireOutput`, `measureHealth` */
export async function writeHealthReport(
  store: Store,
  { file, replace = false, ...ask }: HealthAsked,
  {
    signal,
    onProgress,
  }: { signal?: AbortSignal; onProgress?: (done: number, total: number, what: string) => void } = {},
): Promise<ReturnType<typeof flatHealth> & { findings: Finding[]; file: string }> {
  const path = requireOutput(file, { endings: HEALTH_ENDINGS, replace, makesFolder: true });
  const report = await measureHealth(store, ask, onProgress, signal);
  const page = await healthPage(store, report);
  makeFolder(dirname(path));
  writeWhole(path, [Buffer.from(page)], { replace });
  return { ...flatHealth(report), findings: await findingsOf(store, report), file: path };
}
