import { schemaFor } from '../../methods/index.ts';
import type { RunConfig } from '../../shared/config.ts';
import type { Method } from '../../shared/method.ts';

/** Sizes that make a step take milliseconds, for whatever section has such a field. */
const SMALL: Record<string, number> = {
  hidden: 8,
  out: 4,
  embed_dim: 8,
  depth: 1,
  num_heads: 1,
  count: 6,
  bottleneck: 4,
};

/** A run of a method on images of 16 pixels in micro-batches of 4, as its default preset has it but for its sizes. */
export function tinyConfig({ name, presets, defaultPreset }: Method, train: object = {}): RunConfig {
  const { config } = presets.find((preset) => preset.name === defaultPreset)!;
  const whole = schemaFor({ method: { name } }).parse({ ...config, method: { name } }) as unknown as Record<
    string,
    Record<string, unknown>
  >;
  const shrunk = Object.entries(whole).map(([section, fields]) => [
    section,
    Object.fromEntries(
      Object.entries(fields).map(([field, value]) => [field, section === 'data' ? value : (SMALL[field] ?? value)]),
    ),
  ]);
  const tiny = Object.fromEntries(shrunk) as Record<string, object>;
  const over: Record<string, object> = {
    model: { image_size: 16, patch_size: 4, num_heads: 1 },
    train: { batch_size: 4, ...train },
    data: { workers: 1 },
    ...(tiny.crops && { crops: { small_size: 8 } }),
    ...(tiny.queue && { queue: { length: 8 } }),
    ...(tiny.mask && 'unit' in tiny.mask && { mask: { unit: 4 } }),
  };
  for (const [section, fields] of Object.entries(over)) tiny[section] = { ...tiny[section], ...fields };
  return schemaFor(tiny).parse(tiny);
}
