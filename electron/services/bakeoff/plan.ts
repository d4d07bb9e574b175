import { methodOf, parseRunConfig } from '../../../methods/index.ts';
import type { AskedBakeOff, BakeOffPlan, BakeOffTask, EntryCost, PlannedEntry } from '../../../shared/bakeoff.ts';
import { ENCODER_KEYS, needsClasses } from '../../../shared/bakeoff.ts';
import { type ModelConfig, patchesOf, type RunConfig } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import { bytes, plural } from '../../../shared/words.ts';
import { wantedWarmup } from '../../engine/schedule.ts';
import type { Store } from '../../store/store.ts';
import { type LabelledSplit, splitLabelled } from '../../trainer/labelled.ts';
import { planNotices } from '../../trainer/plan-notices.ts';
import { countImages, stepsPerEpoch } from '../../trainer/training-images.ts';
import { MOST_IMAGES, VIEWS_OF_IMAGE } from '../evaluation/label-free.ts';
import { findPreset, parseConfig, withChanges } from '../recipes/configuration.ts';
import { estimateCost } from '../recipes/estimate.ts';
import { type Lent, lend, lendingNotices } from '../recipes/lenders.ts';
import { checkpointBytes, machineMemory, parametersOf, requireMemory } from '../recipes/memory-need.ts';
import { savedPresets } from '../recipes/presets.ts';

/** A warm-up takes this share of a run at most: a budget may be a small part of what a preset is for. */
const MOST_WARMUP = 0.2;
/** Networks that an evaluation asks: the trained one, and the same untrained. */
const ASKED_NETWORKS = 2;
/** What a run or an evaluation takes beside its arithmetic, seconds: a process, TensorFlow, the first images. Two cores. */
const START_SECONDS = 3;
/** A checkpoint of a training with labels: weights and two moments, in 32 bits. */
const LABELLED_BYTES = 3 * 4;

/**
 * What a bake-off takes, as far as it is known without measuring anything.
 * @param costs of the entries, as they were measured; null for one that was not
 * @throws AppError bad-input where an entry or the images cannot be used; not-found
 */
export function planBakeOff(store: Store, asked: AskedBakeOff, costs: readonly (EntryCost | null)[] = []): BakeOffPlan {
  const dataset = store.datasets.get(asked.dataset);
  const split = splitOf(store, asked);
  const titles = titlesOf(store, asked);
  const planned = asked.entries.map((_, i) => planEntry(store, asked, i, titles[i]!, costs[i] ?? null));
  const entries = planned.map(({ entry }) => entry);
  const lent = {
    missing: planned.flatMap(({ missing }) => missing),
    taken: planned.flatMap(({ taken }) => taken),
  };
  const images = imagesFor(store, dataset.id, entries[0]!.config);
  const supervised_epochs = epochsWithLabels(asked, entries, split);
  const runs = entries.length * asked.seeds;
  const labelled_runs = (asked.finetune === null ? 0 : runs) + (asked.supervised ? asked.seeds : 0);
  const plan: BakeOffPlan = {
    dataset: dataset.name,
    test_dataset: asked.test_dataset === null ? dataset.name : store.datasets.get(asked.test_dataset).name,
    images,
    entries,
    supervised_epochs,
    runs,
    labelled_runs,
    evaluations: runs * asked.tasks.length,
    seconds: null,
    disk:
      asked.seeds * entries.reduce((sum, one) => sum + one.checkpoint_bytes, 0) +
      labelled_runs * LABELLED_BYTES * entries[0]!.parameters,
    memory: entries.every(({ cost }) => cost) ? Math.max(...entries.map(({ cost }) => cost!.peak_memory)) : null,
    notices: [...beforehand(lent), ...noticesOf(store, asked, entries, split)],
  };
  return { ...plan, seconds: secondsOf(asked, plan, split) };
}

/** The configuration of an entry's run with a seed. @throws AppError bad-input */
export function configOfSeed(plan: BakeOffPlan, entry: number, seed: number): RunConfig {
  const { config, steps } = plan.entries[entry]!;
  return parseRunConfig({ ...config, train: { ...config.train, seed, steps } });
}

/**
 * Measures what a step of each entry costs on this machine, one after the other, each in a process of its own.
 * @throws AppError as `planBakeOff`; out-of-memory where one cannot fit
 */
export async function measureBakeOff(
  store: Store,
  asked: AskedBakeOff,
  onProgress: (done: number, total: number, what: string) => void = () => {},
  signal?: AbortSignal,
): Promise<EntryCost[]> {
  const { entries, images } = planBakeOff(store, asked);
  const costs: EntryCost[] = [];
  for (const { config, title } of entries) {
    onProgress(costs.length, entries.length, title);
    // Only the cost of a step is measured, and that does not depend on how many there are.
    const alone = parseRunConfig({ ...config, train: { ...config.train, steps: 1 } });
    const { images_per_s, flops_per_image, peak_memory, warning } = await estimateCost(alone, images, signal);
    costs.push({ images_per_s, flops_per_image, peak_memory, warning });
  }
  onProgress(costs.length, entries.length, '');
  return costs;
}

/** Images that a bake-off's evaluations and trainings with labels take; null where it has none. */
function splitOf(store: Store, { dataset, test_dataset, ...asked }: AskedBakeOff): LabelledSplit | null {
  const takesLabels = asked.tasks.some(needsClasses) || asked.supervised || asked.finetune !== null;
  return takesLabels ? splitLabelled(store, dataset, test_dataset) : null;
}

/** What each entry is called: its method, and where another has the same its preset too. */
function titlesOf(store: Store, { entries }: AskedBakeOff): string[] {
  const saved = savedPresets(store);
  const methods = entries.map(({ preset }) => methodOf(parseRunConfig(findPreset(preset, saved).config)).title);
  const full = entries.map(({ preset }, i) =>
    methods.filter((one) => one === methods[i]).length > 1 ? `${methods[i]} (${preset})` : methods[i]!,
  );
  return full.map((title, i) => {
    const before = full.slice(0, i).filter((one) => one === title).length;
    return before === 0 ? title : `${title}, ${before + 1}`;
  });
}

function planEntry(
  store: Store,
  asked: AskedBakeOff,
  entry: number,
  title: string,
  cost: EntryCost | null,
): Pick<Lent, 'missing' | 'taken'> & { entry: PlannedEntry } {
  const { preset: name, changes } = asked.entries[entry]!;
  const preset = findPreset(name, savedPresets(store));
  const encoder = Object.fromEntries(ENCODER_KEYS.map((key) => [`model.${key}`, asked.encoder[key]]));
  const kept = { 'checkpoint.keep_last': 1, 'checkpoint.keep_best': false, 'checkpoint.keep_every_epochs': null };
  const { config, missing, taken } = named(title, () =>
    lend(
      store,
      store.datasets.get(asked.dataset),
      parseConfig(withChanges(preset, { ...changes, ...encoder, ...kept, 'train.seed': 0, 'train.steps': null })),
    ),
  );
  named(title, () => requireMemory(config));
  const ofStep = config.train.batch_size * config.train.accumulation;
  const affordable = imagesInBudget(asked, cost);
  const steps = affordable === null ? null : Math.max(1, Math.round(affordable / ofStep));
  const planned = {
    preset: name,
    method: config.method.name,
    title,
    config: steps === null ? config : withSteps(config, steps, imagesFor(store, asked.dataset, config)),
    steps,
    images: steps === null ? null : steps * ofStep,
    parameters: parametersOf(config),
    checkpoint_bytes: checkpointBytes(config),
    cost,
  };
  return { entry: planned, missing, taken };
}

/** What is taken over, and what of it is trained before anything that is compared: beside the budget, once for all. */
function beforehand({ missing, taken }: Pick<Lent, 'missing' | 'taken'>): string[] {
  const unfinished = taken.filter(({ run }) => run.status !== 'finished');
  return [
    ...lendingNotices({ missing, taken: taken.filter((one) => !unfinished.includes(one)) }),
    ...new Set(
      unfinished.map(
        ({ what, run }) =>
          `The ${what} is that of run ${run.id} "${run.name}", which is trained to its end first: ` +
          `${plural(run.total_steps - run.step, 'step')} are left.`,
      ),
    ),
    ...(missing.length + unfinished.length > 0
      ? ['What is trained first is counted neither in the budget nor in the time.']
      : []),
  ];
}

/** Images that a run may see; null where that has to be measured first. */
function imagesInBudget({ budget }: AskedBakeOff, cost: EntryCost | null): number | null {
  if (budget.kind === 'images') return budget.images;
  if (cost === null) return null;
  if (budget.kind === 'minutes') return budget.minutes * 60 * cost.images_per_s;
  if (cost.flops_per_image !== null) return budget.flops / cost.flops_per_image;
  const why = 'Products of matrices are counted where TensorFlow computes them.';
  throw new AppError(
    'bad-input',
    'What a step takes cannot be counted here.',
    why,
    'Give a budget of images or minutes.',
  );
}

/** The same with so many steps, of which the warm-up is no more than a fifth. */
function withSteps(config: RunConfig, steps: number, images: number): RunConfig {
  const warmup = wantedWarmup(config, stepsPerEpoch(images, config));
  const most = Math.floor(MOST_WARMUP * steps);
  return parseRunConfig({
    ...config,
    train: { ...config.train, steps },
    ...(warmup > most && { optimizer: { ...config.optimizer, warmup_steps: most } }),
  });
}

/** An error says whose it is. */
function named<T>(title: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError(error.kind, `${title}: ${error.message}`, error.why, error.next, { cause: error });
  }
}

const imagesFor = (store: Store, dataset: number, config: RunConfig): number =>
  countImages(store, store.datasets.get(dataset), config);

/** Multiplications and additions of an encoder's products for an image, one way. */
export function encoderFlops(model: ModelConfig): number {
  const { patch_size, embed_dim: dim, depth, mlp_ratio } = model;
  const K = patchesOf(model);
  const n = K + 1; // with CLS
  const block = 2 * n * dim * (4 * dim + 2 * Math.trunc(mlp_ratio * dim)) + 2 * 2 * n ** 2 * dim;
  return 2 * K * 3 * patch_size ** 2 * dim + depth * block;
}

/** A step goes forward, and back by both operands of each product. */
const TRAINED = 3;

/** Epochs in which a training with labels sees the images of the budget. */
function epochsWithLabels(
  { budget, supervised }: AskedBakeOff,
  [first]: readonly PlannedEntry[],
  split: LabelledSplit | null,
): number | null {
  if (!supervised || !split || !first || first.images === null) return null;
  const images = budget.kind === 'flops' ? budget.flops / (TRAINED * encoderFlops(first.config.model)) : first.images;
  return Math.min(10_000, Math.max(1, Math.round(images / split.train.length)));
}

/** By measured speeds; what was not measured goes by its products of matrices at the speed of what was. */
function secondsOf(asked: AskedBakeOff, plan: BakeOffPlan, split: LabelledSplit | null): number | null {
  const { entries, supervised_epochs } = plan;
  if (entries.some(({ cost, images }) => cost === null || images === null)) return null;
  const pretraining =
    entries.reduce((sum, { images, cost }) => sum + images! / cost!.images_per_s, 0) * asked.seeds +
    START_SECONDS * (plan.runs + plan.labelled_runs + plan.evaluations);
  const rates = entries.map(({ cost }) => (cost!.flops_per_image ?? Number.NaN) * cost!.images_per_s);
  const rate = rates.reduce((a, b) => a + b, 0) / rates.length;
  const forward = encoderFlops(entries[0]!.config.model);
  const epochs =
    asked.seeds * ((supervised_epochs ?? 0) + (asked.finetune === null ? 0 : asked.finetune * entries.length));
  const labelled = split ? split.train.length : 0;
  const asks = (task: BakeOffTask) =>
    needsClasses(task) ? labelled + (split?.test.length ?? 0) : VIEWS_OF_IMAGE * Math.min(MOST_IMAGES, plan.images);
  const evaluated = plan.runs * asked.tasks.reduce((sum, task) => sum + asks(task), 0);
  const flops = forward * (TRAINED * epochs * labelled + ASKED_NETWORKS * evaluated);
  if (flops === 0) return pretraining;
  return Number.isFinite(rate) ? pretraining + flops / rate : null;
}

function noticesOf(
  store: Store,
  asked: AskedBakeOff,
  entries: readonly PlannedEntry[],
  split: LabelledSplit | null,
): string[] {
  const memory = machineMemory();
  const ofEntries = entries.flatMap(({ title, config, steps, cost }) => {
    const images = imagesFor(store, asked.dataset, config);
    const run = { images, steps: steps ?? Number.MAX_SAFE_INTEGER, perEpoch: stepsPerEpoch(images, config) };
    const tight = cost && memory !== null && cost.peak_memory > memory;
    return [
      ...planNotices(config, run),
      ...(tight ? [`It needs about ${bytes(cost.peak_memory, 3)} of memory, and there is ${bytes(memory, 3)}.`] : []),
      ...(steps !== null && steps < 10
        ? [`The budget is ${plural(steps, 'step')} of ${config.train.batch_size * config.train.accumulation} images.`]
        : []),
    ].map((text) => `${title}: ${text}`);
  });
  const seen =
    split && asked.test_dataset === null
      ? ['Pretraining sees the test images too, without their classes: they are a fifth of the same images.']
      : [];
  const single = asked.seeds === 1 ? ['A single seed says nothing of chance: ask for three.'] : [];
  const positions = new Set(entries.map(({ config }) => config.model.position));
  const apart =
    positions.size > 1
      ? [
          `The encoder is of one size; how it knows places is each method's own: ${entries
            .map(({ title, config }) => `${title} ${config.model.position}`)
            .join(', ')}.`,
        ]
      : [];
  return [...ofEntries, ...(split?.notices ?? []), ...seen, ...single, ...apart];
}
