import { findMethod, METHODS, schemaFor } from '../../methods/index.ts';
import type { RunConfig } from '../../shared/config.ts';

/** Configurations that were read, by their text: a list of runs asks for the same ones again and again. */
const known = new Map<string, RunConfig>();
const MOST = 1000;

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
    throw new Error(`they are of the method "${named}", which this program does not have (${names})`);
  }
  const read = schemaFor(kept).safeParse(kept);
  if (!read.success) {
    const [issue] = read.error.issues;
    throw new Error(`${issue!.path.join('.')}: ${issue!.message}`);
  }
  if (known.size >= MOST) known.clear();
  known.set(text, read.data);
  return read.data;
}
