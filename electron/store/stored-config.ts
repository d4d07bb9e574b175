import { LRUCache } from 'lru-cache';
import type { ZodError } from 'zod';
import { findMethod, fineTuneSchema, METHODS, schemaFor } from '../../methods/index.ts';
import type { RunConfig } from '../../shared/config.ts';
import type { FineTune } from '../../shared/finetune.ts';

/** Configurations that were read, by their text: a list of runs asks for the same ones again and again. */
const known = new LRUCache<string, RunConfig>({ max: 1000 });

/**
 * A configuration as a row keeps it, complete: what an older program did not know has its default.
 * @throws Error in words, where the text is damaged or of another program
 */
export function storedConfig(text: string): RunConfig {
  const found = known.get(text);
  if (found) return found;
  const kept = JSON.parse(text) as { method?: { name: string } };
  const named = kept.method?.name;
  if (named !== undefined && !findMethod(named)) {
    const names = METHODS.map(({ name }) => name).join(', ');
    throw new Error(`method.name: this program has no method "${named}" (it has ${names})`);
  }
  const read = schemaFor(kept).safeParse(kept);
  if (!read.success) throw new Error(issueIn(read.error));
  known.set(text, read.data);
  return read.data;
}

/**
 * A fine-tuning as a row keeps it, complete. One that was begun before there was RandAugment goes on without.
 * @throws Error in words
 */
export function storedFineTune(text: string): FineTune {
  const kept = JSON.parse(text) as Omit<FineTune, 'settings'> & { settings: object };
  const read = fineTuneSchema.safeParse({ aa: 'none', ...kept.settings });
  if (!read.success) throw new Error(issueIn(read.error));
  return { ...kept, settings: read.data };
}

const issueIn = ({ issues }: ZodError) => `${issues[0]!.path.join('.')}: ${issues[0]!.message}`;
