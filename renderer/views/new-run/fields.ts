import type { ConfigField } from '../../../shared/contract/recipes.ts';
import { DEFAULT_PREPARED_SIZE } from '../../../shared/prepared.ts';
import { capital } from '../../../shared/words.ts';
import type { JsonValue } from './recipe.ts';

export interface FieldGroup {
  name: string;
  title: string;
  fields: ConfigField[];
}

const TITLES: Record<string, string> = {
  views: 'Views',
  augment: 'Crop and colours',
  mask: 'Mask',
  contrast: 'Contrast',
  momentum: "Teacher's momentum",
  optimizer: 'Learning rate and decay',
  model: 'Model',
  projector: 'Projector',
  train: 'Training',
  data: 'Data',
  checkpoint: 'Checkpoints',
  metrics: 'Metrics',
};

export const sectionOf = (key: string): string => key.slice(0, key.indexOf('.'));

/** Fields by section in the order of a person's interest; a section not known here comes last under its own name. */
export function groupFields(fields: readonly ConfigField[], search: string): FieldGroup[] {
  const names = [...new Set([...Object.keys(TITLES), ...fields.map((field) => sectionOf(field.key))])];
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (field: ConfigField, title: string) => {
    const text = `${field.key} ${labelOf(field.key)} ${title} ${field.description}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  return names
    .map((name) => ({ name, title: TITLES[name] ?? name }))
    .map(({ name, title }) => ({
      name,
      title,
      fields: fields.filter((field) => sectionOf(field.key) === name && matches(field, title)),
    }))
    .filter((group) => group.fields.length > 0);
}

const LABELS: Record<string, string> = {
  'optimizer.lr': 'Peak learning rate',
  'optimizer.min_lr': 'Learning rate at the end',
  'optimizer.warmup_lr': 'Learning rate at the start',
  'optimizer.eps': 'Epsilon',
  'optimizer.clip_grad': 'Gradient clipping',
  'model.mlp_ratio': 'MLP ratio',
  'model.num_heads': 'Heads',
  'model.init_std': 'Initial standard deviation',
  'model.layer_norm_eps': 'LayerNorm epsilon',
  'projector.batch_norm_eps': 'BatchNorm epsilon',
  'projector.batch_norm_momentum': 'BatchNorm momentum',
  'augment.flip': 'Flip',
  'data.prepared': 'Prepared at',
  'augment.std': 'Standard deviation',
};

/** A field's name for people: `crop_scale` is "Crop scale". */
export function labelOf(key: string): string {
  const field = key.slice(key.indexOf('.') + 1).replaceAll('_', ' ');
  return LABELS[key] ?? capital(field);
}

/** A slider's reach: narrower than what is valid, where most of that is never wanted. */
export interface SliderSpec {
  min: number;
  max: number;
  step: number;
  log?: boolean;
}

const SLIDERS: Record<string, SliderSpec> = {
  'model.image_size': { min: 32, max: 384, step: 8 },
  'model.patch_size': { min: 2, max: 32, step: 2 },
  'model.embed_dim': { min: 48, max: 1024, step: 16 },
  'model.depth': { min: 1, max: 24, step: 1 },
  'model.num_heads': { min: 1, max: 16, step: 1 },
  'model.mlp_ratio': { min: 1, max: 8, step: 0.5 },
  'model.layer_scale_init': { min: 0, max: 1, step: 0.05 },
  'projector.layers': { min: 1, max: 8, step: 1 },
  'contrast.temperature': { min: 0.01, max: 1, step: 0, log: true },
  'mask.ratio': { min: 0.05, max: 0.95, step: 0.01 },
  'mask.unit': { min: 8, max: 112, step: 8 },
  'mask.block_min_patches': { min: 1, max: 64, step: 1 },
  'momentum.start': { min: 0.9, max: 1, step: 0.001 },
  'momentum.end': { min: 0.9, max: 1, step: 0.001 },
  'augment.crop_scale': { min: 0.01, max: 1, step: 0.01 },
  'augment.crop_ratio': { min: 0.25, max: 4, step: 0, log: true },
  'augment.hue': { min: 0, max: 0.5, step: 0.01 },
  'augment.blur_radius': { min: 0, max: 5, step: 0.1 },
  'augment.solarize_threshold': { min: 0, max: 255, step: 1 },
  'optimizer.lr': { min: 1e-5, max: 1e-2, step: 0, log: true },
  'optimizer.warmup_epochs': { min: 0, max: 40, step: 1 },
  'optimizer.weight_decay': { min: 0, max: 0.5, step: 0.01 },
  'optimizer.weight_decay_end': { min: 0, max: 0.5, step: 0.01 },
  'optimizer.clip_grad': { min: 0.1, max: 10, step: 0.1 },
  'data.holdout': { min: 0, max: 0.9, step: 0.01 },
};

/** Fields that are shares get a slider by themselves; small constants (epsilons, rates) do not. */
export function sliderOf(field: ConfigField): SliderSpec | null {
  const known = SLIDERS[field.key];
  if (known) return known;
  const isShare = field.kind === 'number' && field.min === 0 && field.max === 1 && sectionOf(field.key) === 'augment';
  return isShare ? { min: 0, max: 1, step: 0.01 } : null;
}

const LOG_STEPS = 200;
/** The `<input type=range>` of a slider: a logarithmic one runs over whole steps of its own. */
export function sliderInput(
  spec: SliderSpec,
  value: number,
): { min: number; max: number; step: number; value: number } {
  if (!spec.log) return { min: spec.min, max: spec.max, step: spec.step, value };
  const at = Math.round((LOG_STEPS * Math.log(value / spec.min)) / Math.log(spec.max / spec.min));
  return { min: 0, max: LOG_STEPS, step: 1, value: Number.isFinite(at) ? Math.max(0, Math.min(LOG_STEPS, at)) : 0 };
}

/** The value at a place of the slider, with as many digits as a person would write. */
export function sliderValue(spec: SliderSpec, at: number): number {
  if (spec.log) return Number((spec.min * (spec.max / spec.min) ** (at / LOG_STEPS)).toPrecision(2));
  return Number(at.toFixed(6));
}

/** A value one step further, for the arrow keys in a number field. */
export function nudge(value: number, by: 1 | -1, spec: SliderSpec | null, isInteger: boolean): number {
  if (isInteger) return value + by * (spec && spec.step > 0 ? spec.step : 1);
  if (spec && !spec.log) return Number((value + by * spec.step).toFixed(6));
  const digit = value === 0 ? 0.01 : 10 ** (Math.floor(Math.log10(Math.abs(value))) - 1);
  return Number((value + by * digit).toPrecision(3));
}

/** What was typed as a value: a number (also `3/4`), or the text itself for the program to explain. */
export function parseNumber(text: string): number | string {
  const trimmed = text.trim();
  const fraction = /^(-?[\d.]+)\s*\/\s*([\d.]+)$/.exec(trimmed);
  if (fraction) return Number(fraction[1]) / Number(fraction[2]);
  const value = Number(trimmed.replace(',', '.'));
  return trimmed === '' || !Number.isFinite(value) ? trimmed : value;
}

/** A value as a person reads it: `0.0005`, `1e-8`, `0.75 – 1.33`. */
export function show(value: unknown): string {
  if (value === null || value === undefined) return 'none';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (Array.isArray(value)) return value.map(show).join(value.length === 2 ? ' – ' : ', ');
  if (typeof value === 'number') return writeNumber(Number(value.toPrecision(4)));
  return String(value);
}

/** A number as it stands in a number field: all its digits, without `e` where it is short enough. */
export function writeNumber(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-4 ? value.toExponential() : String(value);
}

const FALLBACKS: Record<string, JsonValue> = {
  'mask.block_max_patches': 32,
  'optimizer.weight_decay_end': 0.05,
  'optimizer.clip_grad': 1,
  'train.steps': 1000,
  'data.prepared': DEFAULT_PREPARED_SIZE,
  'checkpoint.every_steps': 100,
  'checkpoint.every_minutes': 15,
  'checkpoint.keep_every_epochs': 10,
};
/** What a field takes when its "none" is taken back. */
export const fallbackOf = (field: ConfigField): JsonValue =>
  (field.default as JsonValue) ?? FALLBACKS[field.key] ?? Math.max(1, field.min ?? 1);
