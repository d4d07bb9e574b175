import { closest } from 'fastest-levenshtein';
import type { z } from 'zod';
import { type RunConfig, runConfigSchema } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import { DEFAULT_PRESET, PRESETS, type Preset } from '../../shared/presets.ts';

type Tree = { [key: string]: unknown };

/** A preset by name. @throws AppError bad-input that names the nearest one */
export function findPreset(name: string): Preset {
  const preset = PRESETS.find((p) => p.name === name);
  if (preset) return preset;
  const names = PRESETS.map((p) => p.name);
  throw new AppError(
    'bad-input',
    `There is no preset "${name}".`,
    `Presets: ${names.join(', ')}.`,
    `Did you mean "${closest(name, names)}"?`,
  );
}

/** Every key that a configuration has, dotted: `train.batch_size`. */
export function configKeys(): string[] {
  return Object.entries(runConfigSchema.parse({})).flatMap(([section, fields]) =>
    Object.keys(fields).map((f) => `${section}.${f}`),
  );
}

/** What is known of a key, for help and windows. */
export function describeKey(key: string): { description: string; default: unknown } {
  const [section, field] = key.split('.') as [string, string];
  const sections = runConfigSchema.shape as unknown as Record<
    string,
    { unwrap(): { shape: Record<string, z.ZodType> } }
  >;
  const description = sections[section]!.unwrap().shape[field]!.description ?? '';
  const defaults = runConfigSchema.parse({}) as unknown as Record<string, Tree>;
  return { description, default: defaults[section]![field] };
}

/** `key=value` with the value as JSON where it is JSON, else as text. @throws AppError bad-input */
export function parseSetting(setting: string): { key: string; value: unknown } {
  const equals = setting.indexOf('=');
  if (equals < 1) {
    throw new AppError(
      'bad-input',
      `"${setting}" is not a setting.`,
      'A setting is key=value.',
      'Write for example --set train.batch_size=32',
    );
  }
  const key = setting.slice(0, equals).trim();
  const text = setting.slice(equals + 1).trim();
  const keys = configKeys();
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
  try {
    return { key, value: JSON.parse(text) };
  } catch {
    return { key, value: text };
  }
}

/**
 * A complete configuration from a preset and settings over it.
 * @throws AppError bad-input for an unknown preset or key, or an impossible value, with the nearest valid one
 */
export function buildConfig(
  presetName: string | undefined,
  settings: readonly string[],
): { preset: Preset; config: RunConfig } {
  const preset = findPreset(presetName ?? DEFAULT_PRESET);
  const tree = structuredClone(preset.config) as Record<string, Tree>;
  for (const setting of settings) {
    const { key, value } = parseSetting(setting);
    const [section, field] = key.split('.') as [string, string];
    tree[section] = { ...tree[section], [field]: value };
  }
  return { preset, config: parseConfig(tree) };
}

/** A configuration from anything. @throws AppError bad-input with the nearest valid value */
export function parseConfig(input: unknown): RunConfig {
  const parsed = runConfigSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const key = issue.path.join('.');
  throw new AppError(
    'bad-input',
    `${key || 'The configuration'} cannot be used: ${issue.message}.`,
    '',
    adviceFor(issue, input, key),
  );
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
      const keys = configKeys();
      const wrong = [...issue.path, issue.keys[0]].join('.');
      return `Did you mean "${closest(wrong, keys)}"?`;
    }
    case 'invalid_type':
      if (issue.expected === 'int' && typeof given === 'number')
        return `The nearest valid value of ${key} is ${Math.round(given)}.`;
      return key.includes('.')
        ? `The default of ${key} is ${JSON.stringify(describeKey(key.split('.').slice(0, 2).join('.')).default)}.`
        : '';
    default:
      return key.includes('.') ? `Change ${key} and try again.` : '';
  }
}
