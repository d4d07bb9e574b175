import { createHash } from 'node:crypto';
import { describe } from '../../methods/index.ts';
import type { Checkpoint, CheckpointState, TensorPart } from '../../shared/checkpoint.ts';
import { AppError } from '../../shared/errors.ts';
import type { Metric, Run } from '../../shared/run.ts';
import type { TensorSequence } from '../../shared/tensors.ts';
import type { Batch, Position } from '../data/loader.ts';
import { type Rates, ratesAt } from '../engine/schedule.ts';
import { span } from '../processes/spans.ts';
import { collectGarbage } from '../runtime/garbage.ts';
import type { Store } from '../store/store.ts';
import { planNotices } from './plan-notices.ts';
import { replacedNotice } from './replaced.ts';
import type { RunData } from './run-data.ts';
import type { TrainingImage } from './training-images.ts';

export interface TrainingEvents {
  onMetric(metric: Metric): void;
  onCheckpoint(checkpoint: { id: number; step: number; bytes: number }): void;
  onNotice(text: string): void;
  /** Asked after every step; anything but null ends the training after a checkpoint. */
  request(): 'pause' | 'stop' | null;
}

/** What a step itself says; the loop adds when, how fast, and at which rates. */
export type StepFigures = Pick<Metric, 'loss' | 'grad_norm' | 'figures'>;

/** What a checkpoint is made of. */
export interface LoopState {
  tensors: Partial<Record<TensorPart, TensorSequence>>;
  /** Updates done. */
  updates: number;
  /** Kept as JSON. */
  extra: Partial<CheckpointState>;
}

/** Metrics wait for this long, ms, so that fast steps do not make a transaction each. */
const FLUSH_EVERY = 1000;

/**
 * One run, from its latest checkpoint to its end: data, steps, metrics, checkpoints. What a step does is the subclass's,
 * which makes its engine from `from`. Needs a backend to be set.
 */
export abstract class TrainingLoop {
  readonly run: Run;
  protected readonly store: Store;
  /** The checkpoint that the run goes on from, with what it kept beside its tensors. */
  protected readonly from: (Checkpoint & { state: CheckpointState }) | null;
  readonly #events: TrainingEvents;
  readonly #data: RunData;
  readonly #fingerprint: string;
  /** How often this process replaced an image that could not be read, and how many times of these its notice counts. */
  #replaced = { times: 0, told: 0 };
  #step: number;
  /** Where in the data the last step began, and where it ended. */
  #positions: [Position, Position];
  #pending: Metric[] = [];
  #lossSinceCheckpoint = { sum: 0, count: 0 };
  /** By a clock that cannot be set, ms. */
  #savedAt = performance.now();
  #flushedAt = performance.now();

  /** @param data closed at the end of `train`; if `train` is never called, the caller closes it */
  constructor(store: Store, run: Run, events: TrainingEvents, data: RunData) {
    this.run = run;
    this.store = store;
    this.#events = events;
    this.#data = data;
    this.#fingerprint = hashOf(data.images, ({ hash }) => hash);
    const latest = store.checkpoints.latest(run.id, { withOptimizer: true });
    this.from = latest && store.checkpoints.get(latest.id);
    this.#step = latest?.step ?? 0;
    this.#positions = [data.start, data.start];
    if (this.from && !this.#isOf(this.from.state)) {
      this.tell(
        'The images of the dataset have changed since the last checkpoint: the run goes on with the new ones.',
        `images from ${this.#step}`,
      );
    }
    if (this.from && this.from.state.draws !== 'content') {
      this.tell(
        'This run was begun by an older version, which drew crops and masks by the numbers that images have in this ' +
          'database; from here they are drawn by content. It goes on soundly, with other draws than it would have had: to ' +
          'repeat it to the bit, train it anew.',
      );
    }
    if (!this.from) {
      const plan = { images: data.images.length, steps: run.total_steps, perEpoch: run.steps_per_epoch };
      for (const text of planNotices(run.config, plan, run.kind === 'pretrain')) this.tell(text);
    }
    if (data.notice) this.tell(data.notice, 'data');
    store.metrics.deleteAfter(run.id, this.#step);
    store.runs.update(run.id, { step: this.#step });
  }

  /** Whether a checkpoint was written while these images were trained on. */
  #isOf({ content, data }: CheckpointState): boolean {
    if (content !== null) return content === this.#fingerprint;
    const byRow = this.#data.images.toSorted((a, b) => a.id - b.id); // the order of that time
    return data === hashOf(byRow, ({ id, path }) => `${id}\0${path}`);
  }

  /** Keeps a notice with the run, and tells it to those who watch. It replaces an earlier one of the same key. */
  protected tell(text: string, key = text): void {
    this.store.notices.add(this.run.id, { key, step: this.#step, text });
    this.#events.onNotice(text);
  }

  /** Notice of images that could not be read: told when the first is met, and kept up to date. */
  #tellReplaced(): void {
    const { times, told } = this.#replaced;
    if (times === told) return;
    this.#replaced.told = times;
    const { images, roots } = this.#data;
    const text = replacedNotice(this.#data.failures(), times, images.length, roots);
    const key = `replaced from ${this.from?.step ?? 0}`;
    if (told === 0) this.tell(text, key);
    else this.store.notices.add(this.run.id, { key, step: this.#step, text });
  }

  /** One step on these micro-batches. */
  protected abstract takeStep(batches: readonly Batch[], rates: Rates, step: number): StepFigures;
  /** Everything that a resumption needs. */
  protected abstract state(): LoopState;
  protected abstract dispose(): void;
  /**
   * What is measured after a step, outside of its time; what it gives replaces the step's own figures of that key.
   * @param isKept whether a checkpoint follows
   */
  protected async assess(_step: number, _isKept: boolean): Promise<Metric['figures']> {
    return {};
  }
  /** After the last step and its checkpoint. */
  protected async conclude(): Promise<void> {}

  get step(): number {
    return this.#step;
  }

  /** Trains until the end, or until asked to pause or stop. @returns how it ended */
  async train(): Promise<'finished' | 'paused' | 'stopped'> {
    const { config } = this.run;
    const { accumulation } = config.train;
    let isFirst = true;
    collectGarbage();
    try {
      while (this.#step < this.run.total_steps) {
        const began = performance.now();
        const batches: Batch[] = [];
        while (batches.length < accumulation) batches.push(await this.#data.next());
        const news = this.#data.news();
        if (news) this.tell(news, `news from ${this.from?.step ?? 0}`);
        const stepped = isFirst ? span('first step') : null;
        isFirst = false;
        const isKept = await this.#trainStep(batches, began);
        stepped?.();
        const request = this.#events.request();
        const finished = this.#step === this.run.total_steps;
        if (request && !finished) {
          this.save();
          return request === 'pause' ? 'paused' : 'stopped';
        }
        if (isKept) this.save();
        else if (performance.now() - this.#flushedAt > FLUSH_EVERY) this.#flush();
        // The loop is synchronous but for the data: let messages in.
        await new Promise((resolve) => setImmediate(resolve));
      }
      await this.conclude();
      return 'finished';
    } catch (error) {
      // What was learned until the data went away is kept; after a divergence only the last good checkpoint is.
      if (!(error instanceof AppError && error.kind === 'diverged') && this.#pending.length > 0) this.save();
      throw error;
    } finally {
      this.#flush();
      await this.#data.close();
      this.dispose();
    }
  }

  /** @returns whether a checkpoint is due */
  async #trainStep(batches: readonly Batch[], began: number): Promise<boolean> {
    const { config, total_steps, steps_per_epoch } = this.run;
    const { peakAfterWarmup } = describe(this.run);
    const rates = ratesAt(config, this.#step, total_steps, steps_per_epoch, peakAfterWarmup);
    const next = this.#step + 1;
    const said = this.takeStep(batches, rates, next);
    if (!Number.isFinite(said.loss) || !Number.isFinite(said.grad_norm))
      throw this.#diverged(next, said.loss, rates.lr);
    const seconds = (performance.now() - began) / 1000;
    const waited = batches.reduce((sum, b) => sum + b.waitMs, 0) / 1000;
    this.#positions = [this.#positions[1], batches.at(-1)!.next];
    const isKept = next === total_steps || this.#isCheckpointDue(next);
    const assessed = await this.assess(next, isKept);
    this.#step = next;
    const images = batches.reduce((sum, b) => sum + b.imageIds.length, 0);
    const metric: Metric = {
      ...said,
      figures: { ...said.figures, ...assessed },
      ...rates,
      step: next,
      epoch: batches.at(-1)!.epoch,
      time: Date.now(),
      images_per_s: images / seconds,
      data_wait: Math.min(1, waited / seconds),
      replaced: batches.reduce((sum, b) => sum + b.replaced, 0),
    };
    this.#replaced.times += metric.replaced;
    this.#pending.push(metric);
    this.#lossSinceCheckpoint.sum += said.loss;
    this.#lossSinceCheckpoint.count++;
    this.#events.onMetric(metric);
    return isKept;
  }

  #diverged(step: number, loss: number, lr: number): AppError {
    const what = Number.isFinite(loss) ? 'gradient' : 'loss';
    const kept = this.store.checkpoints.latest(this.run.id);
    return new AppError(
      'diverged',
      `The ${what} of step ${step} is not a finite number, so the run was stopped.`,
      `The learning rate was ${lr.toPrecision(3)}; too high a rate, or a temperature near zero, does this.`,
      `${kept ? `The checkpoint of step ${kept.step} is kept. ` : ''}Start again with a lower optimizer.lr, a longer warm-up, or optimizer.clip_grad.`,
    );
  }

  #isCheckpointDue(step: number): boolean {
    const { every_steps, every_epochs, every_minutes } = this.run.config.checkpoint;
    const isDue = every_steps === null ? this.hasEnded(every_epochs) : step % every_steps === 0;
    return isDue || (every_minutes !== null && performance.now() - this.#savedAt > every_minutes * 60_000);
  }

  /** Whether another `epochs` epochs have ended with the last step. */
  protected hasEnded(epochs: number): boolean {
    const [before, after] = this.#positions.map(({ epoch }) => Math.floor(epoch / epochs));
    return after! > before!;
  }

  /** Writes everything that a resumption needs, with the metrics until now, in one transaction. */
  save(): void {
    this.#tellReplaced();
    collectGarbage(); // saving copies the largest tensor: it then fits into what the step freed
    const { updates, extra, tensors } = this.state();
    const { sum, count } = this.#lossSinceCheckpoint;
    const position = this.#positions[1];
    const state = {
      updates,
      seed: this.run.config.train.seed,
      content: this.#fingerprint,
      draws: 'content',
      position,
    } satisfies Partial<CheckpointState>;
    const checkpoint = this.store.checkpoints.save(
      this.run.id,
      {
        step: this.#step,
        epoch: position.epoch,
        loss: count > 0 ? sum / count : null,
        config: this.run.config,
        state: { ...extra, ...state },
        metrics: this.#pending,
      },
      tensors,
    );
    this.#pending = [];
    this.#lossSinceCheckpoint = { sum: 0, count: 0 };
    this.#savedAt = performance.now();
    this.#flushedAt = performance.now();
    this.store.checkpoints.applyKeepPolicy(this.run.id, this.run.config.checkpoint);
    this.#events.onCheckpoint({ id: checkpoint.id, step: this.#step, bytes: checkpoint.bytes });
  }

  #flush(): void {
    this.#tellReplaced();
    if (this.#pending.length > 0) this.store.metrics.add(this.run.id, this.#pending);
    this.#pending = [];
    this.store.runs.update(this.run.id, { step: this.#step, heartbeat: Date.now() });
    this.#flushedAt = performance.now();
  }
}

/** SHA-256 over what is given of each. */
function hashOf(images: readonly TrainingImage[], what: (image: TrainingImage) => string): string {
  const hash = createHash('sha256');
  for (const image of images) hash.update(`${what(image)}\0`);
  return hash.digest('hex');
}
