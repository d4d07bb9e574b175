import { z } from 'zod';
import { checkCommon, commonSections, type RunConfig } from './config.ts';
import type { Method } from './method.ts';

type Tree = Record<string, Record<string, unknown>>;

/** What is needed of a method to read its configurations. */
export type Configured = Pick<Method, 'name' | 'title' | 'sections' | 'defaults' | 'fixed' | 'fields' | 'check'>;

/** Every section of a method's configuration, its own behind the model's. */
export const sectionsOf = ({ name, sections }: Configured): Record<string, z.ZodType> => {
  const { model, ...common } = commonSections;
  const method = z.strictObject({ name: z.literal(name).default(name) }).prefault({});
  return { method, model, ...sections, ...common };
};

/** The schema of a method's configurations: from any part of one to a complete, valid one. */
export function schemaOf(method: Configured): z.ZodType<RunConfig> {
  const whole = z.strictObject(sectionsOf(method)).superRefine((read, ctx) => {
    const config = read as unknown as RunConfig;
    const refuse = (path: [string, string], message: string) => ctx.addIssue({ code: 'custom', path, message });
    const defaults = method.defaults as Tree;
    for (const key of Object.keys(method.fields)) {
      const { choices } = method.fields[key]!;
      const [section, field] = key.split('.') as [string, string];
      const value = (read as Tree)[section]![field];
      if (choices && !choices.includes(String(value)))
        refuse([section, field], `cannot be ${value} in ${method.title}; nearest: ${JSON.stringify(choices[0])}`);
    }
    for (const key of method.fixed) {
      const [section, field] = key.split('.') as [string, string];
      const [value, always] = [(read as Tree)[section]![field], defaults[section]?.[field]];
      if (always !== undefined && JSON.stringify(value) !== JSON.stringify(always))
        refuse(
          [section, field],
          `is always ${JSON.stringify(always)} in ${method.title}; nearest: ${JSON.stringify(always)}`,
        );
    }
    checkCommon(config, refuse);
    method.check(config, refuse);
  });
  return z.preprocess(
    (input) => overDefaults(method.defaults as Tree, input),
    whole,
  ) as unknown as z.ZodType<RunConfig>;
}

/** What a user wrote, over a method's defaults of the common sections. */
function overDefaults(defaults: Tree, input: unknown): unknown {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return input;
  const tree = input as Tree;
  const filled = Object.entries(defaults).map(([name, fields]) => {
    const own = tree[name] ?? {};
    const isSection = typeof own === 'object' && !Array.isArray(own);
    return [name, isSection ? { ...fields, ...own } : own];
  });
  return { ...tree, ...Object.fromEntries(filled) };
}
