import type { BackendInfo } from '../../shared/backends.ts';
import type { ErrorReport } from '../../shared/errors.ts';
import type { Metric, RunStatus } from '../../shared/run.ts';

/** What the trainer says to the process that started it. Gigabytes do not go this way: it writes them itself. */
export type TrainerMessage =
  | { type: 'claimed' }
  | { type: 'started'; backend: BackendInfo; from_step: number; total_steps: number }
  | { type: 'notice'; text: string }
  | { type: 'metric'; metric: Metric }
  | { type: 'checkpoint'; id: number; step: number; bytes: number }
  | { type: 'ended'; status: RunStatus; step: number; error: ErrorReport | null };

/** What it is told. `detach`: who started it leaves, and it goes on alone. */
export type TrainerOrder = { type: 'pause' | 'stop' | 'detach' };
