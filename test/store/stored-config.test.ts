import { expect, test } from 'vitest';
import { conmimSchema } from '../../methods/conmim/schema.ts';
import { fineTuneSchema } from '../../methods/supervised/config.ts';
import { refusal } from '../harness/refusal.ts';
import { behindItsBack, CONFIG, newStore } from './helpers.ts';

/** A run whose row another program wrote. */
function runWith(column: 'config' | 'finetune', text: string) {
  const { store, run, path } = newStore();
  behindItsBack(path, (raw) => raw.prepare(`UPDATE runs SET ${column} = ? WHERE id = ?`).run(text, run.id));
  return { store, id: run.id };
}

test('what an older program did not know has its default; it names no method, and is ConMIM’s', () => {
  const { recompute: _, mixed_precision: __, ...train } = CONFIG.train;
  const { method: ___, ...older } = { ...CONFIG, train };
  const { store, id } = runWith('config', JSON.stringify(older));
  expect(store.runs.get(id).config).toEqual(conmimSchema.parse({}));
  expect(store.runs.get(id).config.train).toMatchObject({ recompute: false, mixed_precision: 'off' });
  expect(store.runs.list().map(({ config }) => config.method.name)).toEqual(['conmim']);
});

test('a method that is not here, a section of another, and an impossible value are said with the run’s name', () => {
  for (const [changes, why] of [
    [{ method: { name: 'later' } }, /method\.name: this program has no method "later" \(it has conmim, mae[^)]*\)/],
    [{ decoder: { depth: 2 } }, /Unrecognized key: "decoder"/],
    [{ train: { batch_size: 1 } }, /runs\.config is not as this program writes it: train\.batch_size: /],
  ] as const) {
    const { store, id } = runWith('config', JSON.stringify({ ...CONFIG, ...changes }));
    const error = refusal(() => store.runs.get(id));
    expect(error).toMatchObject({ kind: 'bad-file' });
    expect(error.message).toContain('photos');
    expect(error.why).toMatch(why);
  }
});

test('a fine-tuning that was begun before there was RandAugment goes on without', () => {
  const { aa: _, ...settings } = fineTuneSchema.parse({});
  const tune = { group: 'g', start: 'trained', checkpoint_id: 1, run_id: 1, source_id: 1, part: 'student' };
  const { store, id } = runWith(
    'finetune',
    JSON.stringify({ ...tune, test_dataset_id: null, classes: ['a', 'b'], settings }),
  );
  expect(store.runs.get(id).finetune!.settings).toEqual({ ...settings, aa: 'none' });
});
