import type { Run } from '../../shared/run.ts';
import type { TensorSource } from '../../shared/tensors.ts';
import { type Method, Trainer, type TrainerConfig } from '../engine/trainer.ts';
import { span } from '../processes/spans.ts';
import { choosePrecision, engineOptions } from '../runtime/precision.ts';
import type { Store } from '../store/store.ts';
import { type LoopState, type TrainingEvents, TrainingLoop } from './loop.ts';
import type { RunData } from './run-data.ts';

/** What an engine trains. */
export interface Trained<Config extends TrainerConfig, Batch> {
  method: Method<Config, Batch>;
  config: Config;
  /** What a run begins with that has no checkpoint; a teacher starts as a copy of it. */
  start(): TensorSource;
}

/** A run whose steps the engine takes: begun anew, or gone on with from its latest checkpoint. */
export abstract class EngineLoop<Config extends TrainerConfig, Batch> extends TrainingLoop {
  protected readonly engine: Trainer<Config, Batch>;

  /** @throws AppError bad-file where a tensor is missing or of another shape */
  constructor(store: Store, run: Run, events: TrainingEvents, data: RunData, trained: Trained<Config, Batch>) {
    super(store, run, events, data);
    const { method, config, start } = trained;
    const initialised = span('weights initialised');
    if (this.from) {
      const { id, state } = this.from;
      const source = (part: 'student' | 'teacher' | 'exp_avg' | 'exp_avg_sq') => store.checkpoints.source(id, part);
      const { precision, scaling, updates } = state;
      const student = source('student');
      const teacher = method.teacher(config) ? source('teacher') : student;
      this.engine = new Trainer(method, config, student, teacher, engineOptions(run.config, precision));
      this.engine.scaling = scaling;
      this.engine.restoreOptimizer(source('exp_avg'), source('exp_avg_sq'), updates);
    } else {
      const mode = run.config.train.mixed_precision;
      const { precision, why } = choosePrecision(mode);
      if (mode !== 'off') this.tell(`Computes in ${precision}. ${why}`, 'precision');
      const first = start();
      this.engine = new Trainer(method, config, first, first, engineOptions(run.config, precision));
    }
    initialised();
  }

  protected override state(): LoopState {
    const { precision, scaling, updates } = this.engine;
    return { tensors: this.engine.tensors(), updates, extra: { precision, scaling } };
  }

  protected override dispose(): void {
    this.engine.dispose();
  }
}
