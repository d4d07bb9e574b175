import type { Run, StateDict, TensorSource } from '../../shared/domain.ts';
import type { FineTune } from '../../shared/finetune.ts';
import { centreImage, stack } from '../data/centre.ts';
import type { Batch } from '../data/loader.ts';
import { drawMixing, mixImages, mixTargets, randomErase } from '../data/mixing.ts';
import { stream } from '../data/random.ts';
import { Classifier, classifierSpecs, classifierState } from '../engine/classifier.ts';
import type { Rates } from '../engine/schedule.ts';
import type { Store } from '../store/store.ts';
import { chanceOf, classIndices, type Labelled, type LabelledSplit } from './labelled.ts';
import type { LabelledData } from './labelled-data.ts';
import { type LoopState, type StepFigures, type TrainingEvents, TrainingLoop } from './loop.ts';
import { untrainedState } from './training.ts';

/** Test images that are looked at at once. */
const BATCH = 32;

/** Accuracy on the test images. */
interface Accuracy {
  top1: number;
  top5: number;
}

/** A fine-tuning: a classifier on a pretrained encoder, trained whole on labelled images. */
export class FineTuning extends TrainingLoop {
  readonly #engine: Classifier;
  readonly #tune: FineTune;
  readonly #split: LabelledSplit;
  /** Class of a training image, by its id. */
  readonly #classOf: Map<number, number>;
  /** As measured last; between measurements the curve keeps it. */
  #accuracy: Accuracy = { top1: Number.NaN, top5: Number.NaN };
  #confusion: number[][] = [];

  constructor(store: Store, run: Run, tune: FineTune, events: TrainingEvents, data: LabelledData) {
    super(store, run, events, data);
    const { split } = data;
    this.#tune = tune;
    this.#split = split;
    const indices = classIndices(split.train, split.classes);
    this.#classOf = new Map(split.train.ids.map((id, i) => [id, indices[i]!]));
    const { model } = run.config;
    const make = (state: TensorSource) => new Classifier(model, split.classes.length, tune.settings, state);
    if (this.from) {
      const load = (part: 'student' | 'exp_avg' | 'exp_avg_sq') => store.checkpoints.source(this.from!.id, part);
      this.#engine = make(load('student'));
      this.#engine.restoreOptimizer(load('exp_avg'), load('exp_avg_sq'), this.from.state.updates);
      this.#accuracy = this.from.state.accuracy as Accuracy;
    } else {
      const specs = classifierSpecs(model, split.classes.length, tune.settings);
      this.#engine = make(
        classifierState(specs, startState(store, tune), (name) =>
          stream(tune.settings.seed, 0, 0, `init classifier ${name}`),
        ),
      );
    }
  }

  protected override takeStep(batches: readonly Batch[], rates: Rates, step: number): StepFigures {
    const { settings } = this.#tune;
    const side = this.run.config.model.image_size;
    const classes = this.#split.classes.length;
    const [batch] = batches as [Batch];
    const draw = (purpose: string) => stream(settings.seed, step, 0, purpose);
    const images = batch.student;
    const mixing = drawMixing(settings, side, draw('mixing'));
    const labels = Int32Array.from(batch.imageIds, (id) => this.#classOf.get(id)!);
    for (let i = 0, size = side * side * 3; i < labels.length; i++) {
      const image = images.subarray(i * size, (i + 1) * size);
      randomErase(image, side, settings.reprob, stream(settings.seed, step, i, 'erase'));
    }
    mixImages(images, side, mixing);
    const targets = mixTargets(labels, classes, settings.smoothing, mixing);
    const { loss, grad_norm } = this.#engine.step(images, targets, rates, draw('drop path'));
    return {
      loss,
      grad_norm,
      ...this.#accuracy,
      top1_control: null,
      rank_student: null,
      rank_teacher: null,
      cosine_student: null,
      cosine_teacher: null,
    };
  }

  protected override async assess(step: number): Promise<Partial<StepFigures>> {
    if (step !== 1 && !this.hasEnded(this.#tune.settings.evaluate_every) && step !== this.run.total_steps) return {};
    this.#accuracy = await this.#test();
    return this.#accuracy;
  }

  protected override state(): LoopState {
    const { updates } = this.#engine;
    return { tensors: this.#engine.tensors(), updates, extra: { accuracy: this.#accuracy } };
  }

  protected override dispose(): void {
    this.#engine.dispose();
  }

  protected override async conclude(): Promise<void> {
    const { start, group, settings, test_dataset_id, checkpoint_id, source_id } = this.#tune;
    // A run that was ended between its last step and here has not counted yet.
    if (this.#confusion.length === 0) this.#accuracy = await this.#test();
    const { train, test, classes } = this.#split;
    const checkpoint = this.#checkpoint(checkpoint_id);
    const source = start === 'official' ? this.#checkpoint(source_id) : null;
    const dataset = this.store.datasets.get(this.run.dataset_id!);
    const scores = { accuracy: this.#accuracy.top1, ...(classes.length > 5 && { accuracy_top5: this.#accuracy.top5 }) };
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
        train_images: train.paths.length,
        test_images: test.paths.length,
        classes: classes.length,
        chance: chanceOf(test),
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
    const truth = classIndices(test, classes);
    this.#confusion = classes.map(() => classes.map(() => 0));
    const found = { top1: 0, top5: 0 };
    for (let at = 0; at < test.paths.length; at += BATCH) {
      const logits = this.#engine.logits(await this.#images(test, at));
      for (let i = 0; i < logits.length / classes.length; i++) {
        const row = logits.subarray(i * classes.length, (i + 1) * classes.length);
        const right = truth[at + i]!;
        const better = row.reduce((n, value) => n + (value > row[right]! ? 1 : 0), 0);
        if (better === 0) found.top1++;
        if (better < 5) found.top5++;
        this.#confusion[right]![row.indexOf(Math.max(...row))]!++;
      }
    }
    return { top1: found.top1 / test.paths.length, top5: found.top5 / test.paths.length };
  }

  async #images({ paths }: Labelled, at: number): Promise<Float32Array> {
    const { model, augment } = this.run.config;
    return stack(
      await Promise.all(paths.slice(at, at + BATCH).map((path) => centreImage(path, model.image_size, augment))),
    );
  }

  /** What a guess chooses among. */
  get choices(): number {
    return this.#split.classes.length;
  }
}

/** The weights that a fine-tuning starts from. @throws AppError not-found where its checkpoint is deleted */
function startState(store: Store, { start, source_id, part }: FineTune): StateDict {
  const { config } = store.checkpoints.get(source_id);
  return start === 'untrained' ? untrainedState(config) : store.checkpoints.load(source_id, part);
}
