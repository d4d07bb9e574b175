import { writeWhole } from '../../formats/files.ts';
import type { Store } from '../../store/store.ts';
import { type HealthReport, measureHealth } from './health.ts';
import { healthPage } from './page.ts';
import { type Finding, findingsOf } from './verdict.ts';

export interface HealthOptions {
  checkpoint: number;
  dataset: string | number;
  images?: number;
  file: string;
}

/** Measures, and writes the report as one HTML file. @throws AppError as `measureHealth`; bad-input where it cannot be written */
export async function writeHealthReport(
  store: Store,
  { file, ...ask }: HealthOptions,
  {
    signal,
    onProgress,
  }: { signal?: AbortSignal; onProgress?: (done: number, total: number, what: string) => void } = {},
): Promise<HealthReport & { findings: Finding[]; file: string }> {
  const report = await measureHealth(store, ask, onProgress, signal);
  writeWhole(file, [Buffer.from(healthPage(store, report))]);
  return { ...report, findings: findingsOf(report), file };
}
