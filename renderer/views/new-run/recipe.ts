import type { RunConfig } from '../../../shared/config.ts';
import type { ConfigField, ConfigProblem, PresetRow } from '../../../shared/contract/recipes.ts';
import type { Affected } from '../../../shared/method.ts';

/** Settings over a preset, by dotted key, as they cross to the program. */
export type Changes = Readonly<Record<string, JsonValue>>;
export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };

export const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** What a preset says of a field. */
export function presetValue(config: RunConfig, key: string): JsonValue {
  const [section, field] = key.split('.') as [string, string];
  return (config as unknown as Record<string, Record<string, JsonValue>>)[section]?.[field] ?? null;
}

export const valueAt = (preset: PresetRow, changes: Changes, key: string): JsonValue =>
  key in changes ? changes[key]! : presetValue(preset.config, key);

/** The changes with one more; what the preset says anyway is no change. */
export function withChange(preset: PresetRow, changes: Changes, key: string, value: JsonValue): Changes {
  const { [key]: _, ...rest } = changes;
  return isSame(presetValue(preset.config, key), value) ? rest : { ...rest, [key]: value };
}

/** The changes without those that the preset says anyway. */
export const overPreset = (preset: PresetRow, changes: Changes): Changes =>
  Object.fromEntries(Object.entries(changes).filter(([key, value]) => !isSame(presetValue(preset.config, key), value)));

/** The configuration of a preset with changes, as it stands: unchecked. */
export function changed(config: RunConfig, changes: Changes): RunConfig {
  const all = structuredClone(config) as unknown as Record<string, Record<string, JsonValue>>;
  for (const [key, value] of Object.entries(changes)) {
    const [section, field] = key.split('.') as [string, string];
    all[section] = { ...all[section], [field]: value };
  }
  return all as unknown as RunConfig;
}

/** Changes as the address has them; an address that was cut or mistyped gives none. */
export function parseChanges(text: string | undefined): Changes {
  try {
    const value: unknown = JSON.parse(text ?? '{}');
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Changes) : {};
  } catch {
    return {};
  }
}

/** Whether another value of a field is another speed, another need of memory, or other views. */
const affects = (fields: readonly ConfigField[], key: string, what: Affected) =>
  fields.some((field) => field.key === key && field.meta.affects?.includes(what) === true);

/** What the pictures of the lab follow from, so that another field's mistake does not stop them. */
export const labChanges = (changes: Changes, fields: readonly ConfigField[]): Changes =>
  Object.fromEntries(Object.entries(changes).filter(([key]) => affects(fields, key, 'views')));

/** What speed and memory of a step follow from: how many steps there are is multiplied afterwards. */
export const costKey = (config: RunConfig, fields: readonly ConfigField[]): string =>
  JSON.stringify([
    config.method.name,
    ...fields
      .filter(({ key }) => affects(fields, key, 'speed') || affects(fields, key, 'memory'))
      .map(({ key }) => presetValue(config, key)),
  ]);

/** Whether runs that differ in a field may differ in speed. */
export const touchesSpeed = (key: string, fields: readonly ConfigField[]) => affects(fields, key, 'speed');

/** Seconds of a whole run. */
export const secondsOf = (config: RunConfig, steps: number, imagesPerSecond: number): number =>
  (steps * config.train.batch_size * config.train.accumulation) / imagesPerSecond;

/** The most that checkpoints take at once; those kept only for their weights lack the optimizer's half. */
export function diskOf(config: RunConfig, plan: { steps: number; steps_per_epoch: number; checkpoint_bytes: number }) {
  const { keep_last, keep_best, keep_every_epochs } = config.checkpoint;
  const epochs = plan.steps / plan.steps_per_epoch;
  const light = (keep_best ? 1 : 0) + (keep_every_epochs === null ? 0 : Math.floor(epochs / keep_every_epochs) + 1);
  return plan.checkpoint_bytes * (keep_last + light / 2);
}

/** Problems of a field, whose own key may go on: `augment.crop_scale.0`. */
export const problemsOf = (problems: readonly ConfigProblem[], key: string): ConfigProblem[] =>
  problems.filter((problem) => problem.key === key || problem.key.startsWith(`${key}.`));

/** The value that a problem's words offer: "nearest: 16", "The nearest valid value of mask.ratio is 1." */
export function offered({ message, next }: ConfigProblem): JsonValue | undefined {
  const found =
    /nearest: (-?[\d.e-]+)$/.exec(message) ?? /nearest valid value of \S+ is (-?[\d.e-]*\d|"\w+")/.exec(next);
  if (!found) return undefined;
  return JSON.parse(found[1]!) as JsonValue;
}

/** Images spread evenly over a dataset; another `from` gives others. @returns distinct offsets */
export function spread(total: number, count: number, from: number): number[] {
  const n = Math.min(total, count);
  return Array.from({ length: n }, (_, i) => (from + Math.floor((i * total) / n)) % total);
}

/** A name that a preset may have: `my-recipe-2`. */
export const slug = (title: string): string =>
  title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 60);
