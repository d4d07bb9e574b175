import { type ConMIMBatch, type ConMIMConfig, conmim } from '../../methods/conmim/step.ts';
import type { RunConfig } from '../../shared/config.ts';
import type { Metric, Run } from '../../shared/run.ts';
import type { Batch } from '../data/loader.ts';
import { stream } from '../data/random.ts';
import { hostCopy } from '../engine/host.ts';
import { initialSource, initialState } from '../engine/parameters.ts';
import type { Rates } from '../engine/schedule.ts';
import { Trainer } from '../engine/trainer.ts';
import { span } from '../processes/spans.ts';
import { choosePrecision, engineOptions, type PrecisionState } from '../runtime/precision.ts';
import type { Store } from '../store/store.ts';
import { featureHealth } from './feature-health.ts';
import { type LoopState, type StepFigures, type TrainingEvents, TrainingLoop } from './loop.ts';
import type { RunData } from './run-data.ts';

/** The state that a run with this configuration starts from: a function of the seed alone. */
export function untrainedState(config: Pick<RunConfig, 'model' | 'projector' | 'train'>) {
  return initialState(config.model, config.projector, initialStreams(config));
}

/** The same, each tensor made when it is asked for. */
export function untrainedSource(config: Pick<RunConfig, 'model' | 'projector' | 'train'>) {
  return initialSource(config.model, config.projector, initialStreams(config));
}

const initialStreams =
  ({ train }: Pick<RunConfig, 'train'>) =>
  (name: string) =>
    stream(train.seed, 0, 0, `init ${name}`);

/** A pretraining: ConMIM's steps on the images of a dataset. */
export class Training extends TrainingLoop {
  readonly #engine: Trainer<ConMIMConfig, ConMIMBatch>;

  constructor(store: Store, run: Run, events: TrainingEvents, data: RunData) {
    super(store, run, events, data);
    const initialised = span('weights initialised');
    if (this.from) {
      const { id, state } = this.from;
      const { precision = 'fp32', scaling } = state as Partial<PrecisionState>;
      this.#engine = new Trainer(
        conmim,
        run.config,
        store.checkpoints.source(id, 'student'),
        store.checkpoints.source(id, 'teacher'),
        engineOptions(run.config, precision),
      );
      if (scaling) this.#engine.scaling = scaling;
      const moments = [store.checkpoints.source(id, 'exp_avg'), store.checkpoints.source(id, 'exp_avg_sq')] as const;
      this.#engine.restoreOptimizer(...moments, state.updates);
    } else {
      const state = untrainedSource(run.config);
      const mode = run.config.train.mixed_precision ?? 'off'; // an older program's run has no such setting
      const { precision, why } = choosePrecision(mode);
      if (mode !== 'off') events.onNotice(`Computes in ${precision}. ${why}`);
      this.#engine = new Trainer(conmim, run.config, state, state, engineOptions(run.config, precision));
    }
    initialised();
  }

  protected override takeStep(batches: readonly Batch[], rates: Rates, step: number): StepFigures {
    const measure = step === 1 || step % this.run.config.metrics.features_every === 0;
    const health: Metric['figures'] = {};
    const { loss, grad_norm, figures } = this.#engine.step(batches, rates, {
      ...(measure && {
        show: (name, tensor) => {
          const { rank, cosine } = featureHealth(hostCopy(tensor), tensor.shape.at(-1)!);
          const who = name === 'queries' ? 'student' : 'teacher';
          health[`rank_${who}`] = rank;
          health[`cosine_${who}`] = cosine;
        },
      }),
    });
    return { loss, grad_norm, figures: { ...figures, ...health } };
  }

  protected override state(): LoopState {
    const { precision, scaling, updates } = this.#engine;
    return { tensors: this.#engine.tensors(), updates, extra: { precision, scaling } satisfies PrecisionState };
  }

  protected override dispose(): void {
    this.#engine.dispose();
  }
}
