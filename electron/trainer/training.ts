import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { patchesOf, type RunConfig } from '../../shared/config.ts';
import type { Dataset, ImageRow, Metric, Run } from '../../shared/domain.ts';
import { AppError } from '../../shared/errors.ts';
import { type Batch, Loader } from '../data/loader.ts';
import { stream } from '../data/random.ts';
import { ConMIM, type EngineState } from '../engine/conmim.ts';
import { initialState } from '../engine/parameters.ts';
import { ratesAt } from '../engine/schedule.ts';
import type { Store } from '../store/store.ts';
import { featureHealth } from './feature-health.ts';

/** An image that a run trains on. */
export interface TrainingImage {
  id: number;
  path: string;
}

/** Whether an image is kept from training: by its content, so that a copy elsewhere falls on the same side. */
export function isHeldOut(image: Pick<ImageRow, 'hash'>, holdout: number): boolean {
  return Number.parseInt(image.hash.slice(-8), 16) / 2 ** 32 < holdout;
}

/** A dataset's usable images, in a fixed order; those of one side of the holdout. */
export function imagesOf(store: Store, dataset: Dataset, keep: (image: ImageRow) => boolean): TrainingImage[] {
  const images: TrainingImage[] = [];
  for (const image of store.images.iterate(dataset.id, { status: 'ok' })) {
    if (keep(image)) images.push({ id: image.id, path: join(dataset.folders[image.folder]!, image.path) });
  }
  return images;
}

/** Optimizer steps of an epoch; at least one. */
export function stepsPerEpoch(images: number, config: RunConfig): number {
  return Math.max(1, Math.floor(Loader.stepsPerEpoch(images, config) / config.train.accumulation));
}

/** The state that a run with this configuration starts from: a function of the seed alone. */
export function untrainedState(config: Pick<RunConfig, 'model' | 'projector' | 'train'>) {
  return initialState(config.model, config.projector, (name) => stream(config.train.seed, 0, 0, `init ${name}`));
}

/** What a checkpoint keeps beside its tensors. */
interface CheckpointState {
  updates: number;
  seed: number;
  /** SHA-256 over the ids and paths trained on: a resumed run on other images is not the same run. */
  data: string;
  best_loss: number | null;
}

export interface TrainingEvents {
  onMetric(metric: Metric): void;
  onCheckpoint(checkpoint: { id: number; step: number; bytes: number }): void;
  onNotice(text: string): void;
  /** Asked after every step; anything but null ends the training after a checkpoint. */
  request(): 'pause' | 'stop' | null;
}

/** Metrics wait for this long, ms, so that fast steps do not make a transaction each. */
const FLUSH_EVERY = 1000;

/** One run, from its latest checkpoint to its end: data, steps, metrics, checkpoints. Needs a backend to be set. */
export class Training {
  readonly run: Run;
  readonly #store: Store;
  readonly #config: RunConfig;
  readonly #events: TrainingEvents;
  readonly #images: TrainingImage[];
  readonly #roots: string[];
  readonly #fingerprint: string;
  readonly #engine: ConMIM;
  #step: number;
  #pending: Metric[] = [];
  #lossSinceCheckpoint = { sum: 0, count: 0 };
  #savedAt = Date.now();
  #flushedAt = Date.now();

  constructor(store: Store, run: Run, events: TrainingEvents) {
    this.run = run;
    this.#store = store;
    this.#config = run.config;
    this.#events = events;
    if (run.dataset_id === null)
      throw new AppError('bad-input', 'These weights were imported and have no dataset to train on.');
    const dataset = store.datasets.get(run.dataset_id);
    this.#roots = dataset.folders;
    this.#images = imagesOf(store, dataset, (image) => !isHeldOut(image, this.#config.data.holdout));
    if (this.#images.length === 0) {
      throw new AppError(
        'bad-input',
        `Dataset "${dataset.name}" has no image to train on.`,
        '',
        'Import its folders again, or lower data.holdout.',
      );
    }
    const hash = createHash('sha256');
    for (const image of this.#images) hash.update(`${image.id}\0${image.path}\0`);
    this.#fingerprint = hash.digest('hex');

    const checkpoint = store.checkpoints.latest(run.id, { withOptimizer: true });
    this.#step = checkpoint?.step ?? 0;
    if (checkpoint) {
      const state = store.checkpoints.get(checkpoint.id).state as unknown as CheckpointState;
      const load = (part: 'student' | 'teacher' | 'exp_avg' | 'exp_avg_sq') =>
        store.checkpoints.load(checkpoint.id, part);
      this.#engine = new ConMIM(this.#config, load('student'), load('teacher'));
      this.#engine.restoreOptimizer(load('exp_avg'), load('exp_avg_sq'), state.updates);
      if (state.data !== this.#fingerprint) {
        events.onNotice(
          'The images of the dataset have changed since the last checkpoint: the run goes on with the new ones.',
        );
      }
    } else {
      const state = untrainedState(this.#config);
      this.#engine = new ConMIM(this.#config, state, state);
    }
    store.metrics.deleteAfter(run.id, this.#step);
    store.runs.update(run.id, { step: this.#step });
  }

  get step(): number {
    return this.#step;
  }

  /** Trains until the end, or until asked to pause or stop. @returns how it ended */
  async train(): Promise<'finished' | 'paused' | 'stopped'> {
    const { accumulation } = this.#config.train;
    const loader = new Loader({
      images: this.#images,
      roots: this.#roots,
      config: this.#config,
      workers: this.#config.data.workers,
      startStep: this.#step * accumulation,
    });
    try {
      while (this.#step < this.run.total_steps) {
        const began = performance.now();
        const batches: Batch[] = [];
        while (batches.length < accumulation) batches.push(await loader.next());
        this.#trainStep(batches, began);
        const request = this.#events.request();
        const finished = this.#step === this.run.total_steps;
        if (request && !finished) {
          this.save();
          return request === 'pause' ? 'paused' : 'stopped';
        }
        if (this.#isCheckpointDue() || finished) this.save();
        else if (Date.now() - this.#flushedAt > FLUSH_EVERY) this.#flush();
        // The loop is synchronous but for the data: let messages in.
        await new Promise((resolve) => setImmediate(resolve));
      }
      return 'finished';
    } catch (error) {
      // What was learned until the data went away is kept; after a divergence only the last good checkpoint is.
      if (!(error instanceof AppError && error.kind === 'diverged') && this.#pending.length > 0) this.save();
      throw error;
    } finally {
      this.#flush();
      await loader.close();
      this.#engine.dispose();
    }
  }

  #trainStep(batches: readonly Batch[], began: number): void {
    const config = this.#config;
    const rates = ratesAt(config, this.#step, this.run.total_steps, this.run.steps_per_epoch);
    const next = this.#step + 1;
    let health: Pick<Metric, 'rank_student' | 'rank_teacher' | 'cosine_student' | 'cosine_teacher'> = {
      rank_student: null,
      rank_teacher: null,
      cosine_student: null,
      cosine_teacher: null,
    };
    const measure = next === 1 || next % config.metrics.features_every === 0;
    const result = this.#engine.step(batches, rates, {
      ...(measure && {
        onFeatures: ({ queries, keys, out }) => {
          const [student, teacher] = [featureHealth(queries, out), featureHealth(keys, out)];
          health = {
            rank_student: student.rank,
            rank_teacher: teacher.rank,
            cosine_student: student.cosine,
            cosine_teacher: teacher.cosine,
          };
        },
      }),
    });
    if (!Number.isFinite(result.loss) || !Number.isFinite(result.grad_norm))
      throw this.#diverged(next, result.loss, rates.lr);
    const seconds = (performance.now() - began) / 1000;
    const waited = batches.reduce((sum, b) => sum + b.waitMs, 0) / 1000;
    this.#step = next;
    const images = batches.reduce((sum, b) => sum + b.imageIds.length, 0);
    const metric: Metric = {
      ...result,
      ...rates,
      ...health,
      step: next,
      epoch: batches[0]!.epoch,
      time: Date.now(),
      images_per_s: images / seconds,
      data_wait: Math.min(1, waited / seconds),
      replaced: batches.reduce((sum, b) => sum + b.replaced, 0),
    };
    this.#pending.push(metric);
    this.#lossSinceCheckpoint.sum += result.loss;
    this.#lossSinceCheckpoint.count++;
    this.#events.onMetric(metric);
  }

  #diverged(step: number, loss: number, lr: number): AppError {
    const what = Number.isFinite(loss) ? 'gradient' : 'loss';
    const kept = this.#store.checkpoints.latest(this.run.id);
    return new AppError(
      'diverged',
      `The ${what} of step ${step} is not a finite number, so the run was stopped.`,
      `The learning rate was ${lr.toPrecision(3)}; too high a rate, or a temperature near zero, does this.`,
      `${kept ? `The checkpoint of step ${kept.step} is kept. ` : ''}Start again with a lower optimizer.lr, a longer warm-up, or optimizer.clip_grad.`,
    );
  }

  #isCheckpointDue(): boolean {
    const { every_steps, every_epochs, every_minutes } = this.#config.checkpoint;
    const every = every_steps ?? every_epochs * this.run.steps_per_epoch;
    return this.#step % every === 0 || (every_minutes !== null && Date.now() - this.#savedAt > every_minutes * 60_000);
  }

  /** Writes everything that a resumption needs, with the metrics until now, in one transaction. */
  save(): void {
    const { updates, ...parts }: EngineState = this.#engine.state();
    const { sum, count } = this.#lossSinceCheckpoint;
    const state: CheckpointState = { updates, seed: this.#config.train.seed, data: this.#fingerprint, best_loss: null };
    const checkpoint = this.#store.checkpoints.save(
      this.run.id,
      {
        step: this.#step,
        epoch: Math.floor(this.#step / this.run.steps_per_epoch),
        loss: count > 0 ? sum / count : null,
        config: this.#config,
        state: { ...state },
        metrics: this.#pending,
      },
      parts,
    );
    this.#pending = [];
    this.#lossSinceCheckpoint = { sum: 0, count: 0 };
    this.#savedAt = Date.now();
    this.#flushedAt = Date.now();
    this.#store.checkpoints.applyKeepPolicy(this.run.id, {
      ...this.#config.checkpoint,
      steps_per_epoch: this.run.steps_per_epoch,
    });
    this.#events.onCheckpoint({ id: checkpoint.id, step: this.#step, bytes: checkpoint.bytes });
  }

  #flush(): void {
    if (this.#pending.length > 0) this.#store.metrics.add(this.run.id, this.#pending);
    this.#pending = [];
    this.#store.runs.update(this.run.id, { step: this.#step, heartbeat: Date.now() });
    this.#flushedAt = Date.now();
  }

  /** K, for those who draw ln K and chance. */
  get patches(): number {
    return patchesOf(this.#config.model);
  }
}
