import { FINE_TUNING } from '../../methods/index.ts';
import { tuning } from '../../methods/tuning.ts';
import type { CheckpointState } from '../../shared/checkpoint.ts';
import type { ModelConfig } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import type { FineTune } from '../../shared/finetune.ts';
import type { Labelling } from '../../shared/labelled-method.ts';
import { type LeftOut, leftOutWords } from '../../shared/left-out.ts';
import type { Run } from '../../shared/run.ts';
import type { TensorSource } from '../../shared/tensors.ts';
import { centreImage, stack } from '../data/centre.ts';
import type { Batch } from '../data/loader.ts';
import { drawMixing, mixImages, mixTargets, randomErase } from '../data/mixing.ts';
import { stream } from '../data/random.ts';
import { ImageReader } from '../data/readable.ts';
import { requireFinite } from '../engine/finite.ts';
import { hostTidy } from '../engine/host.ts';
import type { Rates } from '../engine/schedule.ts';
import type { TrainerConfig } from '../engine/trainer.ts';
import type { Store } from '../store/store.ts';
import { EngineLoop } from './engine-loop.ts';
import { chanceOf, classIndices, type LabelledSplit } from './labelled.ts';
import type { LabelledData } from './labelled-data.ts';
import type { LoopState, StepFigures, TrainingEvents } from './loop.ts';
import { untrainedSource } from './training.ts';

/** Test images that are looked at at once. */
const BATCH = 32;

/** Accuracy on the test images. */
type Accuracy = Required<CheckpointState['accuracy']>;

/** A fine-tuning: a classifier on a pretrained encoder, trained whole on labelled images. */
export class FineTuning extends EngineLoop<TrainerConfig, unknown> {
  readonly #tune: FineTune;
  readonly #labelling: Labelling;
  readonly #split: LabelledSplit;
  /** Class of a training image, by its id. */
  readonly #classOf: Map<number, number>;
  /** As measured last; between measurements the curve keeps it. */
  #accuracy: Partial<Accuracy> = {};
  #confusion: number[][] = [];
  /** Test images that could not be read in the last test; said once for as many. */
  #leftOut: LeftOut[] = [];

  constructor(store: Store, run: Run, tune: FineTune, events: TrainingEvents, data: LabelledData) {
    const { split } = data;
    const labelling = FINE_TUNING.labelling(tune.settings);
    const config = tuning.configOf(modelOf(run, tune), split.classes.length, tune.settings);
    super(store, run, events, data, {
      method: tuning.step,
      config,
      start: () =>
        tuning.startOf(config, startOf(store, tune), (name) => stream(labelling.seed, 0, 0, `init classifier ${name}`)),
    });
    this.#tune = tune;
    this.#labelling = labelling;
    this.#split = split;
    const indices = classIndices(split.train, split.classes);
    this.#classOf = new Map(split.train.map(({ id }, i) => [id, indices[i]!]));
    for (const text of split.notices) this.tell(text);
    if (this.from) this.#accuracy = this.from.state.accuracy;
  }

  protected override takeStep(batches: readonly Batch[], rates: Rates, step: number): StepFigures {
    const labelling = this.#labelling;
    const side = this.run.config.model.image_size;
    const classes = this.#split.classes.length;
    const [batch] = batches as [Batch];
    const draw = (purpose: string) => stream(labelling.seed, step, 0, purpose);
    const images = batch.views.student!;
    const mixing = drawMixing(labelling, side, draw('mixing'));
    const labels = Int32Array.from(batch.imageIds, (id) => this.#classOf.get(id)!);
    for (let i = 0, size = side * side * 3; i < labels.length; i++) {
      const image = images.subarray(i * size, (i + 1) * size);
      randomErase(image, side, labelling.reprob, stream(labelling.seed, step, i, 'erase'));
    }
    mixImages(images, side, mixing);
    const targets = mixTargets(labels, classes, labelling.smoothing, mixing);
    const one = tuning.batchOf({ images, targets }, this.engine.config, draw);
    const { loss, grad_norm } = this.engine.step([one], rates);
    return { loss, grad_norm, figures: { ...this.#accuracy } };
  }

  protected override async assess(step: number): Promise<Partial<Accuracy>> {
    if (step !== 1 && !this.hasEnded(this.#labelling.evaluate_every) && step !== this.run.total_steps) return {};
    this.#accuracy = await this.#test();
    return this.#accuracy;
  }

  protected override state(): LoopState {
    const { extra, ...state } = super.state();
    return { ...state, extra: { ...extra, accuracy: this.#accuracy } };
  }

  protected override async conclude(): Promise<void> {
    const { start, group, settings, test_dataset_id, checkpoint_id, source_id } = this.#tune;
    // A run that was ended between its last step and here has not counted yet.
    if (this.#confusion.length === 0) this.#accuracy = await this.#test();
    const { train, test, classes } = this.#split;
    const checkpoint = this.#checkpoint(checkpoint_id);
    const source = start === 'official' ? this.#checkpoint(source_id) : null;
    const dataset = this.store.datasets.get(this.run.dataset_id!);
    const scores = {
      accuracy: this.#accuracy.top1!,
      ...(classes.length > 5 && { accuracy_top5: this.#accuracy.top5! }),
    };
    this.store.evaluations.addToComparison(group, {
      checkpoint_id: checkpoint?.id ?? null,
      dataset_id: dataset.id,
      task: 'finetune',
      result: {
        task: 'finetune',
        group,
        checkpoint: checkpoint
          ? { id: checkpoint.id, run_id: checkpoint.run_id, step: checkpoint.step }
          : { id: null, run_id: null, step: 0 },
        dataset: dataset.name,
        test_dataset: test_dataset_id === null ? dataset.name : this.store.datasets.get(test_dataset_id).name,
        train_images: train.length,
        test_images: test.length - this.#leftOut.length,
        classes: classes.length,
        chance: chanceOf(test),
        left_out: this.#leftOut,
        notices: [...this.#split.notices, leftOutWords(this.#leftOut, test.length)].filter(Boolean),
        [start]: scores,
        ...(source && { official_name: this.store.runs.get(source.run_id).name }),
        confusion: { classes, [start]: this.#confusion },
        runs: { [start]: { id: this.run.id, name: this.run.name } },
        settings,
      },
    });
  }

  #checkpoint(id: number) {
    try {
      return this.store.checkpoints.get(id);
    } catch {
      return null; // deleted meanwhile: the figures stand for themselves
    }
  }

  async #test(): Promise<Accuracy> {
    const { test, classes } = this.#split;
    const { model, augment } = this.run.config;
    const reader = new ImageReader();
    this.#confusion = classes.map(() => classes.map(() => 0));
    const found = { top1: 0, top5: 0, images: 0 };
    for (let at = 0; at < test.length; at += BATCH) {
      const read = await reader.read(test.slice(at, at + BATCH), (file) =>
        centreImage(file, model.image_size, augment),
      );
      if (read.length === 0) continue;
      const images = stack(read.map(({ value }) => value));
      const scores = hostTidy(() => tuning.scores(this.engine.networks.student, images, this.engine.config).tensor);
      requireFinite(scores, 'The answers of the classifier');
      const truth = classIndices(
        read.map(({ image }) => image),
        classes,
      );
      for (const [i, right] of truth.entries()) {
        const places = placesOf(scores.subarray(i * classes.length, (i + 1) * classes.length));
        const rank = places.indexOf(right);
        if (rank === 0) found.top1++;
        if (rank < 5) found.top5++;
        found.images++;
        this.#confusion[right]![places[0]!]!++;
      }
    }
    if (reader.leftOut.length > 0 && reader.leftOut.length !== this.#leftOut.length)
      this.tell(leftOutWords(reader.leftOut, test.length), 'test images left out');
    this.#leftOut = reader.leftOut;
    if (found.images === 0) {
      const why = leftOutWords(this.#leftOut, test.length);
      throw new AppError('data-vanished', 'No test image can be read.', why, 'Bring them back, and resume the run.');
    }
    return { top1: found.top1 / found.images, top5: found.top5 / found.images };
  }
}

/** Classes by what is said of them, the likeliest first; of equals the first, so that one answer is given and not all. */
export const placesOf = (logits: Float32Array): number[] =>
  [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);

/** The encoder's sizes. */
const modelOf = ({ config: { model } }: Run, { has_positions }: FineTune): ModelConfig =>
  has_positions ? model : { ...model, position: 'none' };

/** The weights that a fine-tuning starts from. @throws AppError not-found where its checkpoint is deleted */
function startOf(store: Store, { start, source_id, part }: FineTune): TensorSource {
  const { config } = store.checkpoints.get(source_id);
  return start === 'untrained' ? untrainedSource(config) : store.checkpoints.source(source_id, part);
}
