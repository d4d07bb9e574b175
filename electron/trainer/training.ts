import { describe } from '../../methods/index.ts';
import { networkOf } from '../../methods/networks.ts';
import { type MethodBatch, stepOf } from '../../methods/steps.ts';
import type { RunConfig } from '../../shared/config.ts';
import type { Metric, Run } from '../../shared/run.ts';
import type { StateDict, TensorSource } from '../../shared/tensors.ts';
import type { Batch } from '../data/loader.ts';
import { stream } from '../data/random.ts';
import { hostCopy } from '../engine/host.ts';
import { startOf } from '../engine/parameters.ts';
import type { Rates } from '../engine/schedule.ts';
import type { Store } from '../store/store.ts';
import { CheckpointFeatures } from './checkpoint-features.ts';
import { EngineLoop } from './engine-loop.ts';
import { featureHealth } from './feature-health.ts';
import { lentNotices, withLent } from './lent.ts';
import type { StepFigures, TrainingEvents } from './loop.ts';
import type { RunData } from './run-data.ts';

/** The state that a run with this configuration starts from: a function of the seed alone. */
export function untrainedState(config: RunConfig): StateDict {
  const { parameters, buffers } = networkOf(config);
  const source = untrainedSource(config);
  return new Map([...parameters, ...buffers].map(({ name }) => [name, source.get(name)!]));
}

/** The same, each tensor made when it is asked for. */
export const untrainedSource = (config: RunConfig): TensorSource =>
  startOf(networkOf(config), (name) => stream(config.train.seed, 0, 0, `init ${name}`));

/** A pretraining: its method's steps on the images of a dataset. */
export class Training extends EngineLoop<RunConfig, MethodBatch> {
  /** Figures of the method: a `rank_NAME` or `cosine_NAME` among them is measured on what its step shows by that name. */
  readonly #keys: ReadonlySet<string>;
  readonly #features: CheckpointFeatures | null;

  constructor(store: Store, run: Run, events: TrainingEvents, data: RunData) {
    const { config } = run;
    super(store, run, events, data, {
      method: stepOf(config),
      config,
      start: () => withLent(store, config, untrainedSource(config)),
    });
    if (!this.from) for (const text of lentNotices(store, config)) this.tell(text);
    this.#keys = new Set(describe(run).figures.map(({ key }) => key));
    this.#features = CheckpointFeatures.of(store, run, () => untrainedSource(config));
  }

  /** Not at a pause, which should be quick: the run measures again where it goes on. */
  protected override async assess(_step: number, isKept: boolean): Promise<Metric['figures']> {
    return isKept && this.#features ? this.#features.measure(this.engine.networks.student) : {};
  }

  protected override takeStep(batches: readonly Batch[], rates: Rates, step: number): StepFigures {
    const measure = step === 1 || step % this.run.config.metrics.features_every === 0;
    const health: Metric['figures'] = {};
    const { config, total_steps } = this.run;
    const given = batches.map((batch, i) => ({
      ...batch,
      step: step - 1,
      progress: (step - 1) / total_steps,
      random: (purpose: string) => stream(config.train.seed, step, i, `step ${purpose}`),
    }));
    const { loss, grad_norm, figures } = this.engine.step(given, rates, {
      ...(measure && {
        show: (name, tensor) => {
          const wanted = [`rank_${name}`, `cosine_${name}`] as const;
          if (!wanted.some((key) => this.#keys.has(key))) return;
          const { rank, cosine } = featureHealth(hostCopy(tensor), tensor.shape.at(-1)!);
          for (const [i, key] of wanted.entries()) if (this.#keys.has(key)) health[key] = [rank, cosine][i]!;
        },
      }),
    });
    return { loss, grad_norm, figures: { ...figures, ...health } };
  }
}
