import { closest } from 'fastest-levenshtein';
import { z } from 'zod';
import { DEFAULT_PRESET, findMethod, METHODS, PRESETS, parseRunConfig, schemaFor } from '../../../methods/index.ts';
import { COMMON_FIELDS } from '../../../shared/common-fields.ts';
import type { RunConfig } from '../../../shared/config.ts';
import type { ConfigField, ConfigProblem } from '../../../shared/contract/recipes.ts';
import { AppError } from '../../../shared/errors.ts';
import type { Method, Preset, Recipe } from '../../../shared/method.ts';
import { sectionsOf } from '../../../shared/method-schema.ts';
import { capital } from '../../../shared/words.ts';

type Tree = { [key: string]: unknown };

/** A preset by name, among those of the program and others. @throws AppError bad-input that names the nearest one */
export function findPreset(name: string, others: readonly Preset[] = []): Preset {
  const all = [...PRESETS, ...others];
  const preset = all.find((p) => p.name === name);
  if (preset) return preset;
  throw unknown('preset', name, all);
}

/** The error for a name that is not known. */
function unknown(what: 'preset' | 'method', name: string, all: readonly { name: string }[]): AppError {
  const names = all.map((one) => one.name);
  return new AppError(
    'bad-input',
    `There is no ${what} "${name}".`,
    `${capital(what)}s: ${names.join(', ')}.`,
    `Did you mean "${closest(name, names)}"?`,
  );
}

/** What a configuration, or a preset's part of one, is of. */
export const methodIn = (config: unknown): Recipe => findMethod(config as { method?: { name: string } }) ?? METHODS[0]!;

/** A method by name. @throws AppError bad-input that names the nearest one */
export function requireMethod(name: string): Method {
  const method = findMethod(name);
  if (!method) throw unknown('method', name, METHODS);
  return method;
}

/** Every key that a configuration of a method has, dotted: `train.batch_size`. */
export function configKeys(method: Recipe): string[] {
  const { method: _, ...sections } = defaultsOf(method);
  return Object.entries(sections).flatMap(([section, fields]) => Object.keys(fields).map((f) => `${section}.${f}`));
}

const defaultsOf = ({ name }: Recipe) => parseRunConfig({ method: { name } }) as unknown as Record<string, Tree>;

/** What is known of each key of a method, for help and windows. */
export function describeKeys(method: Recipe): { key: string; description: string; default: unknown }[] {
  const sections = sectionsOf(method) as unknown as Record<string, { unwrap(): { shape: Record<string, z.ZodType> } }>;
  const defaults = defaultsOf(method);
  return configKeys(method).map((key) => {
    const [section, field] = key.split('.') as [string, string];
    const description = sections[section]!.unwrap().shape[field]!.description ?? '';
    return { key, description, default: defaults[section]![field] };
  });
}

/** `key=value` as it stands; the value is JSON, or else text. @throws AppError bad-input */
export function splitSetting(setting: string): { key: string; value: unknown } {
  const equals = setting.indexOf('=');
  if (equals < 1) {
    throw new AppError(
      'bad-input',
      `"${setting}" is not a setting.`,
      'A setting is key=value.',
      'Write for example --set train.batch_size=32',
    );
  }
  const text = setting.slice(equals + 1).trim();
  const key = setting.slice(0, equals).trim();
  try {
    return { key, value: JSON.parse(text) };
  } catch {
    return { key, value: text };
  }
}

/**
 * `key=value` with the value as JSON where it is JSON, else as text.
 * @param methods one of them has to have the key
 * @throws AppError bad-input
 */
export function parseSetting(setting: string, ...methods: readonly Recipe[]): { key: string; value: unknown } {
  const split = splitSetting(setting);
  const { key } = split;
  const keys = methods.flatMap(configKeys);
  if (!keys.includes(key)) {
    // A field's name alone is enough to say what was meant.
    const byField = keys.find((k) => k.split('.')[1] === key);
    const near = byField ?? closest(key, keys);
    throw new AppError(
      'bad-input',
      `There is no setting "${key}".`,
      '',
      `Did you mean "${near}"? \`conmim settings\` lists all.`,
    );
  }
  return split;
}

/** A preset with settings over it, as written: not checked, and without defaults. */
export function withChanges(preset: Pick<Preset, 'config'>, changes: Readonly<Record<string, unknown>>): Tree {
  const tree = structuredClone(preset.config) as Record<string, Tree>;
  for (const [key, value] of Object.entries(changes)) {
    const dot = key.indexOf('.');
    const [section, field] = [key.slice(0, dot), key.slice(dot + 1)];
    if (dot < 0)
      (tree as Tree)[key] = value; // refused below as an unknown key
    else tree[section] = { ...tree[section], [field]: value };
  }
  return tree;
}

/**
 * A complete configuration from a preset and settings over it.
 * @throws AppError bad-input for an unknown preset or key, or an impossible value, with the nearest valid one
 */
export function buildConfig(
  presetName: string | undefined,
  settings: readonly string[],
  saved: readonly Preset[] = [],
): { preset: Preset; config: RunConfig } {
  const preset = findPreset(presetName ?? DEFAULT_PRESET, saved);
  const changes = Object.fromEntries(
    settings.map((setting) => parseSetting(setting, methodIn(preset.config))).map(({ key, value }) => [key, value]),
  );
  return { preset, config: parseConfig(withChanges(preset, changes)) };
}

/** A configuration from anything. @throws AppError bad-input with the nearest valid value */
export function parseConfig(input: unknown): RunConfig {
  const checked = checkConfig(input);
  if (checked.config) return checked.config;
  const { key, message, next } = checked.problems[0]!;
  throw new AppError('bad-input', `${key || 'The configuration'} cannot be used: ${message}.`, '', next);
}

/** A configuration from anything, or every problem that it has. */
export function checkConfig(input: unknown): { config: RunConfig | null; problems: ConfigProblem[] } {
  const parsed = schemaFor(input).safeParse(input);
  if (parsed.success) return { config: parsed.data, problems: [] };
  const problems = parsed.error.issues.map((issue) => {
    const key = issue.path.join('.');
    return { key, message: issue.message, next: adviceFor(issue, input, key) };
  });
  return { config: null, problems };
}

/** Where a configuration differs from another, by dotted key. */
export function differences(preset: RunConfig, config: RunConfig): { key: string; preset: unknown; value: unknown }[] {
  const at = (tree: RunConfig, key: string) =>
    key.split('.').reduce<unknown>((node, step) => (node as Tree | undefined)?.[step], tree);
  return configKeys(methodIn(config))
    .map((key) => ({ key, preset: at(preset, key), value: at(config, key) }))
    .filter((d) => JSON.stringify(d.preset) !== JSON.stringify(d.value));
}

/** What JSON Schema says of a field, as far as a form needs it. */
interface FieldSchema {
  type?: string;
  enum?: string[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  prefixItems?: FieldSchema[];
  anyOf?: FieldSchema[];
}

/** Every field of a configuration, as a form needs it: from the schema itself. */
export function configFields(method: Recipe): ConfigField[] {
  const schema = z.toJSONSchema(z.strictObject(sectionsOf(method)), { io: 'input' }) as unknown as {
    properties: Record<string, { properties: Record<string, FieldSchema> }>;
  };
  const shown = describeKeys(method).filter(({ key }) => !method.fixed.includes(key));
  return shown.map(({ key, ...known }) => {
    const [section, name] = key.split('.') as [string, string];
    const meta = method.fields[key] ?? COMMON_FIELDS[key] ?? {};
    const whole = schema.properties[section]!.properties[name]!;
    const field = whole.anyOf?.find((part) => part.type !== 'null') ?? whole;
    const items = field.prefixItems;
    const limits = items?.[0] ?? field;
    const isSafe = (n: number | undefined) => (n !== undefined && Math.abs(n) < Number.MAX_SAFE_INTEGER ? n : null);
    return {
      key,
      kind: field.enum
        ? 'choice'
        : items
          ? items.length === 2 && key.startsWith('augment.')
            ? 'range'
            : 'numbers'
          : (field.type as 'number' | 'integer' | 'boolean'),
      nullable: whole.anyOf?.some((part) => part.type === 'null') ?? false,
      choices: meta.choices ? [...meta.choices] : (field.enum ?? null),
      min: isSafe(limits.minimum ?? limits.exclusiveMinimum),
      max: isSafe(limits.maximum ?? limits.exclusiveMaximum),
      ...known,
      meta,
    };
  });
}

/** @param key of a field, or of a part of its value: `augment.crop_scale.0` */
function defaultOf(key: string, method: Recipe): unknown {
  const [section, field] = key.split('.') as [string, string];
  return defaultsOf(method)[section]![field];
}

function adviceFor(issue: z.core.$ZodIssue, input: unknown, key: string): string {
  const given = issue.path.reduce<unknown>((at, step) => (at as Tree | undefined)?.[step as string], input);
  switch (issue.code) {
    case 'too_small': {
      const step = issue.inclusive ? '' : 'just above ';
      return `The nearest valid value of ${key} is ${step}${issue.minimum}.`;
    }
    case 'too_big': {
      const step = issue.inclusive ? '' : 'just below ';
      return `The nearest valid value of ${key} is ${step}${issue.maximum}.`;
    }
    case 'invalid_value': {
      const values = issue.values.map(String);
      return `The nearest valid value of ${key} is "${closest(String(given), values)}"; all: ${values.join(', ')}.`;
    }
    case 'unrecognized_keys': {
      const keys = configKeys(methodIn(input));
      const wrong = [...issue.path, issue.keys[0]].join('.');
      return `Did you mean "${closest(wrong, keys)}"?`;
    }
    case 'invalid_type':
      if (issue.expected === 'int' && typeof given === 'number')
        return `The nearest valid value of ${key} is ${Math.round(given)}.`;
      return key.includes('.') ? `The default of ${key} is ${JSON.stringify(defaultOf(key, methodIn(input)))}.` : '';
    default:
      return key.includes('.') ? `Change ${key} and try again.` : '';
  }
}
