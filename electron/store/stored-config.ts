import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { findMethod, fineTuneSchema, METHODS, schemaFor } from '../../methods/index.ts';
import type { RunConfig } from '../../shared/config.ts';
import { tuneSchema } from '../../shared/finetune.ts';
import { fromJson, type Place } from './json.ts';

/** Configurations that were read, by their text: a list of runs asks for the same ones again and again. */
const known = new LRUCache<string, RunConfig>({ max: 1000 });

/** A configuration as a row keeps it, by the schema of its method: what an older program did not know has its default. */
export const configSchema = z.unknown().transform((kept, context): RunConfig => {
  const refuse = (path: PropertyKey[], message: string) => {
    context.addIssue({ code: 'custom', path, message });
    return z.NEVER;
  };
  const named = (kept as { method?: { name?: unknown } } | null)?.method?.name;
  if (named !== undefined && !findMethod(String(named))) {
    const names = METHODS.map(({ name }) => name).join(', ');
    return refuse(['method', 'name'], `this program has no method "${named}" (it has ${names})`);
  }
  const { data, error } = schemaFor(kept).safeParse(kept);
  return error ? refuse(error.issues[0]!.path, error.issues[0]!.message) : data;
});

/** @throws AppError bad-file where it is damaged, or of another program */
export function storedConfig(text: string, place: Place): RunConfig {
  const found = known.get(text);
  if (found) return found;
  const config = fromJson(configSchema, text, place);
  known.set(text, config);
  return config;
}

/** A fine-tuning as a row keeps it. One that was begun before there was RandAugment goes on without. */
export const storedTuneSchema = tuneSchema.extend({
  settings: z.preprocess((kept) => ({ aa: 'none', ...Object(kept) }), fineTuneSchema),
});
