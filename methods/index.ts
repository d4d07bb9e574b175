import type { z } from 'zod';
import type { Checkpoint } from '../shared/checkpoint.ts';
import type { ProjectorConfig, RunConfig } from '../shared/config.ts';
import { AppError } from '../shared/errors.ts';
import type { Description } from '../shared/figures.ts';
import type { LabelledMethod } from '../shared/labelled-method.ts';
import type { Chance, ChanceOptions, Method, Preset } from '../shared/method.ts';
import { schemaOf } from '../shared/method-schema.ts';
import type { Uniform } from '../shared/random.ts';
import type { Run } from '../shared/run.ts';
import { method as beit } from './beit/method.ts';
import { method as conmim } from './conmim/method.ts';
import { method as densecl } from './densecl/method.ts';
import { method as ibot } from './ibot/method.ts';
import { method as mae } from './mae/method.ts';
import { method as mcBeit } from './mc-beit/method.ts';
import { method as moco } from './moco/method.ts';
import { method as peco } from './peco/method.ts';
import { method as simclr } from './simclr/method.ts';
import { fineTuneSchema } from './supervised/config.ts';
import { method as supervised } from './supervised/method.ts';
import { method as swav } from './swav/method.ts';
import { method as tokenizer } from './tokenizer/method.ts';

/**
 * The methods that pretrain, from images alone: each is the folder of its name, and nothing outside of it says that name.
 */
export const METHODS: readonly Method[] = [
  conmim,
  mae,
  moco,
  simclr,
  tokenizer,
  beit,
  mcBeit,
  peco,
  swav,
  densecl,
  ibot,
];
/** Those that need labels, and a network that one of the others pretrained; the same holds of their names. */
export const LABELLED_METHODS: readonly LabelledMethod[] = [supervised];
/** What a fine-tuning is made by: none names its method, for there is one. */
export const FINE_TUNING = LABELLED_METHODS[0]!;
/** What a run, or a fixture, that names no method was made by: there was one method once. */
export const FIRST_METHOD = conmim.name;

const byName = new Map(METHODS.map((method) => [method.name, { method, schema: schemaOf(method) }]));
const nameIn = (config: unknown): string =>
  String((config as { method?: { name?: unknown } } | null)?.method?.name ?? FIRST_METHOD);

/** The method of a configuration, or of a name; null for one that is not here. */
export const findMethod = (of: string | { method?: { name: string } }): Method | null =>
  byName.get(typeof of === 'string' ? of : nameIn(of))?.method ?? null;

/** The method of a parity fixture: one of several kinds is called NAME-KIND. */
export const findFixtureMethod = (said: string): Method | null =>
  findMethod(said) ?? METHODS.find(({ name }) => said.startsWith(`${name}-`)) ?? null;

/** The method of a configuration that was read. */
export const methodOf = (config: RunConfig): Method => findMethod(config)!;

/** The schema by which a configuration is read: of the method that it names. Where there is no such method, the first's. */
export const schemaFor = (config: unknown): z.ZodType<RunConfig> =>
  (byName.get(nameIn(config)) ?? byName.get(FIRST_METHOD)!).schema;

/** A complete configuration from any part of one. @throws ZodError */
export const parseRunConfig = (config: unknown): RunConfig => schemaFor(config).parse(config);

/** The value of a dotted setting. */
export function settingOf(config: RunConfig, key: string): unknown {
  const [section, field] = key.split('.') as [string, string];
  return (config as unknown as Record<string, Record<string, unknown>>)[section]?.[field];
}

/** Ids of the runs that a configuration names, because it takes over their networks. */
export const lendersIn = (config: RunConfig): number[] =>
  (methodOf(config).borrows?.(config) ?? [])
    .map(({ key }) => settingOf(config, key))
    .filter((id): id is number => typeof id === 'number');

/** How runs are read: of each method. */
export const DESCRIPTIONS: readonly Description[] = [...METHODS, ...LABELLED_METHODS];

/** How the settings of a fine-tuning are read. */
export { fineTuneSchema };

type Described = Pick<Run, 'config'> & { finetune?: Run['finetune'] };

/** How a run is read; without `finetune` it is a pretraining. */
export const describe = ({ config, finetune }: Described): Description => (finetune ? FINE_TUNING : methodOf(config));

/** What guessing gives for a run. */
export const chanceOf = (run: Described, options: Pick<ChanceOptions, 'batch'> = {}): Chance =>
  describe(run).chance(run.config, { ...options, ...(run.finetune && { classes: run.finetune.classes.length }) });

/** @throws AppError bad-input for a method that has no look-ups, and for weights without what they need */
export function requireLookups(checkpoint: Pick<Checkpoint, 'config' | 'lacks'>): void {
  const { title, lookups } = methodOf(checkpoint.config);
  if (!lookups)
    throw new AppError(
      'bad-input',
      `${title} has no look-ups.`,
      'It trains no network that a masked patch could be looked up with.',
      'Ask for its tokens: neighbours, maps, probes and evaluations are made of these.',
    );
  requireWhole(checkpoint, 'look-ups');
}

/** @param what needs all of a network @throws AppError bad-input for weights of a file that lacked some of it */
export function requireWhole({ lacks }: Pick<Checkpoint, 'lacks'>, what: string): void {
  if (lacks.length === 0) return;
  throw new AppError(
    'bad-input',
    `These weights have no ${what}.`,
    `The file that they came from has no ${lacks.join(' and no ')}.`,
    'Ask for their features: neighbours, maps, probes and evaluations are made of these.',
  );
}

/** The projector of a run's networks. @throws AppError bad-input where they have none */
export function projectorOf(config: RunConfig): ProjectorConfig {
  if (config.projector) return config.projector;
  const { title } = methodOf(config);
  throw new AppError('bad-input', `${title} trains no projector.`, '', 'Choose tokens, or the features of a block.');
}

/** Networks of a run that can be asked, the student first. */
export const networksOf = (config: RunConfig): readonly ('student' | 'teacher')[] =>
  methodOf(config).hasTeacher ? ['student', 'teacher'] : ['student'];

/** What is compared unless something else is asked for: the teacher, which is steadier, where there is one. */
export const steadiestOf = (config: RunConfig): 'student' | 'teacher' => networksOf(config).at(-1)!;

/** @throws AppError bad-input for a network that the run's method does not train */
export function requireNetwork(config: RunConfig, part: string): void {
  if (part === 'untrained' || networksOf(config).some((one) => one === part)) return;
  throw new AppError(
    'bad-input',
    `${methodOf(config).title} trains no ${part}.`,
    'It trains one network, and keeps no moving average of it.',
    'Ask for the student.',
  );
}

/** Features of patches that a run's networks have: after the last LayerNorm, of the projector, after each block from the last. */
export const patchFeaturesOf = ({ model, projector }: RunConfig): string[] => [
  'tokens',
  ...(projector ? ['projector'] : []),
  ...Array.from({ length: model.depth }, (_, i) => `block-${model.depth - i}`),
];

/** A mask as the run draws it, `[K]`, 1 = hidden. @throws AppError bad-input for a method that hides nothing */
export function requireMask(config: RunConfig, random: Uniform): Uint8Array {
  const mask = drawMask(config, random);
  if (mask) return mask;
  throw new AppError('bad-input', `${methodOf(config).title} hides no patches.`);
}

/** The same; null for a method that hides nothing. */
export function drawMask(config: RunConfig, random: Uniform): Uint8Array | null {
  const { image_size, patch_size } = config.model;
  const shape = { grid: image_size / patch_size, patchSize: patch_size, imageSize: image_size };
  return methodOf(config).mask?.(config, shape, random) ?? null;
}

/** Every preset of the program, each with its method's name. */
export const PRESETS: readonly Preset[] = METHODS.flatMap(({ name, presets }) =>
  presets.map((preset) => ({ ...preset, config: { method: { name }, ...preset.config } })),
);
/** What a newcomer gets. */
export const DEFAULT_PRESET = METHODS[0]!.defaultPreset;
