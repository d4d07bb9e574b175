import { COMMON_FIELDS, COMMON_TITLES } from '../../../shared/common-fields.ts';
import type { ConfigField } from '../../../shared/contract/recipes.ts';
import type { FieldMeta, SliderSpec } from '../../../shared/method.ts';
import { capital } from '../../../shared/words.ts';
import type { JsonValue } from './recipe.ts';

export interface FieldGroup {
  name: string;
  title: string;
  fields: ConfigField[];
}

export const sectionOf = (key: string): string => key.slice(0, key.indexOf('.'));

/**
 * Fields by section in the order of a person's interest, the method's own first; a section without a title comes last
 * under its own name.
 */
export function groupFields(
  fields: readonly ConfigField[],
  search: string,
  titlesOfMethod: Readonly<Record<string, string>>,
): FieldGroup[] {
  const titles: Record<string, string> = { ...titlesOfMethod, ...COMMON_TITLES };
  const names = [...new Set([...Object.keys(titles), ...fields.map((field) => sectionOf(field.key))])];
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (field: ConfigField, title: string) => {
    const text = `${field.key} ${labelOf(field.key, field.meta)} ${title} ${field.description}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  return names
    .map((name) => ({ name, title: titles[name] ?? name }))
    .map(({ name, title }) => ({
      name,
      title,
      fields: fields.filter((field) => sectionOf(field.key) === name && matches(field, title)),
    }))
    .filter((group) => group.fields.length > 0);
}

/** A field's name for people: `crop_scale` is "Crop scale". */
export function labelOf(key: string, meta: FieldMeta = COMMON_FIELDS[key] ?? {}): string {
  const field = key.slice(key.indexOf('.') + 1).replaceAll('_', ' ');
  return meta.label ?? capital(field);
}

/** What another value changes at once, in words: "changes speed and memory"; empty where that is nothing. */
export const affectsWords = ({ affects = [] }: FieldMeta): string =>
  affects.length === 0 ? '' : `changes ${affects.join(', ').replace(/, (?=[^,]*$)/, ' and ')}`;

/** Fields that are shares get a slider by themselves; small constants (epsilons, rates) do not. */
export function sliderOf(field: ConfigField): SliderSpec | null {
  if (field.meta.slider) return field.meta.slider;
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

/** What a field takes when its "none" is taken back. */
export const fallbackOf = (field: ConfigField): JsonValue =>
  (field.default as JsonValue) ?? field.meta.fallback ?? Math.max(1, field.min ?? 1);
