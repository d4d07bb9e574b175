import type { TrainerConfig } from '../electron/engine/trainer.ts';
import type { Tuning } from '../electron/engine/tuning.ts';
import { FINE_TUNING } from './index.ts';
import { loadOf } from './load.ts';

/** What the step of a method that needs labels is to the house: it makes configuration and batches itself. */
export type AnyTuning = Tuning<TrainerConfig, unknown>;

/** How fine-tunings train. */
export const { tuning } = await loadOf<{ tuning: AnyTuning }>(FINE_TUNING.name, 'tuning');
