import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { replay } from '../../electron/bench/replay.ts';
import { writeSafetensors } from '../../electron/formats/safetensors.ts';
import { drawnMask } from '../../electron/services/explore/mask.ts';
import { companyOf } from '../../electron/services/explore/probe-strip.ts';
import { centrePixels } from '../../electron/services/ground/pictures.ts';
import type { Store } from '../../electron/store/store.ts';
import { ours } from '../../methods/conmim/config.ts';
import type { ReplayedLookup } from '../../methods/conmim/replay-lookups.ts';
import type { LookupView } from '../../shared/contract/explore.ts';

/**
 * What `replay` writes of one image's look-ups at a checkpoint: its weights, the image with the company that the window
 * gives it, and the masks are written as a parity folder, and that folder is run as a step of training. Needs a backend.
 */
export async function replayed(
  store: Store,
  checkpoint: number,
  image: number,
  mask: readonly boolean[],
): Promise<ReplayedLookup[]> {
  const { config, run_id } = store.checkpoints.get(checkpoint);
  const row = store.images.get(image);
  const { folders } = store.datasets.get(row.dataset_id);
  const { image_size: side } = config.model;
  const company = await companyOf(store, store.runs.get(run_id), image);
  const files = [await centrePixels(join(folders[row.folder]!, row.path), side), ...company];
  const K = mask.length;
  // Channels first, as the published code has them.
  const input = new Float32Array(files.length * 3 * side * side);
  for (const [i, pixels] of files.entries()) {
    for (let at = 0; at < side * side; at++)
      for (let c = 0; c < 3; c++)
        input[(i * 3 + c) * side * side + at] =
          (pixels[at * 3 + c]! / 255 - config.augment.mean[c]!) / config.augment.std[c]!;
  }
  const masks = new Float32Array(files.length * K);
  for (let i = 0; i < files.length; i++) masks.set(i === 0 ? mask.map(Number) : drawnMask(config, i), i * K);

  const folder = mkdtempSync(join(tmpdir(), 'replayed-'));
  try {
    const { model, projector, contrast } = ours(config);
    const optimizer = { betas: config.optimizer.betas };
    const steps = [{ lr: 1e-3, weight_decay: 0.05, momentum: 0.99 }];
    const fixture = { ...model, projector, temperature: contrast.temperature, optimizer, steps };
    writeFileSync(join(folder, 'fixture.json'), JSON.stringify(fixture));
    for (const who of ['student', 'teacher'] as const)
      writeSafetensors(join(folder, `${who}.init.safetensors`), store.checkpoints.load(checkpoint, who));
    const pictures = { shape: [files.length, 3, side, side], data: input };
    const batch = { student_input: pictures, teacher_input: pictures, mask: { shape: [files.length, K], data: masks } };
    writeSafetensors(join(folder, 'batch.step0.safetensors'), new Map(Object.entries(batch)));
    await replay(folder, join(folder, 'out'));
    const all = JSON.parse(readFileSync(join(folder, 'out', 'lookups.step0.json'), 'utf8')) as ReplayedLookup[];
    return all.filter((one) => one.image === 0);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Probabilities cross to the window in ten-thousandths. */
const ROUNDED = 0.5e-4 + 1e-5;

/** Fails unless the window's look-ups of an image are these: places, ranks, probabilities, entropies, the five likeliest. */
export function sameLookups(drawn: LookupView['answers'], want: readonly ReplayedLookup[]): void {
  expect(drawn.map(({ patch }) => patch)).toEqual(want.map(({ patch }) => patch));
  for (const [i, answer] of drawn.entries()) {
    const { patch, found, rank, probability, entropy, top5 } = want[i]!;
    const one = `patch ${patch}`;
    expect(answer.rank, one).toBe(rank);
    expect(answer.top5[0], one).toBe(found);
    expect(answer.top5, one).toEqual(top5.map((place) => place.patch));
    expect(Math.abs(answer.chances[patch]! / 10_000 - probability), one).toBeLessThan(ROUNDED);
    for (const place of top5)
      expect(Math.abs(answer.chances[place.patch]! / 10_000 - place.probability), one).toBeLessThan(ROUNDED);
    expect(answer.entropy, one).toBeCloseTo(entropy, 4);
  }
}
