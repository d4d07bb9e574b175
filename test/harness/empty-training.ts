import type { Store } from '../../electron/store/store.ts';
import { type LoopState, type StepFigures, TrainingLoop } from '../../electron/trainer/loop.ts';
import { pretrainingData } from '../../electron/trainer/run-data.ts';

/** A training that computes nothing: what is counted, and said, is the loop's. */
class EmptyTraining extends TrainingLoop {
  protected override takeStep(): StepFigures {
    return { loss: 1, grad_norm: 1, figures: { top1: 0, top5: 0 } };
  }
  protected override state(): LoopState {
    return { tensors: { exp_avg: [], exp_avg_sq: [] }, updates: 0, extra: {} };
  }
  protected override dispose(): void {}
}

/** Trains a run until its end, or until a step. @returns what was said meanwhile */
export async function trainEmpty(store: Store, id: number, until = Number.POSITIVE_INFINITY): Promise<string[]> {
  const said: string[] = [];
  const loop: EmptyTraining = new EmptyTraining(
    store,
    store.runs.get(id),
    {
      onMetric: () => {},
      onCheckpoint: () => {},
      onNotice: (text) => said.push(text),
      request: () => (loop.step >= until ? 'pause' : null),
    },
    pretrainingData(store, store.runs.get(id)),
  );
  await loop.train();
  return said;
}
