import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { firstBatch, replay } from '../../electron/bench/replay.ts';
import { Network } from '../../electron/engine/network.ts';
import { readSafetensors } from '../../electron/formats/safetensors.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { sameLookups } from '../../test/harness/replayed.ts';
import { answerOf, ask, bestOf } from './lookups.ts';
import { network } from './network.ts';
import { lookupsOf } from './replay-lookups.ts';
import type { ConMIMBatch, ConMIMConfig } from './step.ts';

await loadBackend();
const FIXTURES = join(import.meta.dirname, '../../test/fixtures');

describe.each(['relpos', 'abspos'])('look-ups as a window draws them, on %s', async (fixture) => {
  const folder = join(FIXTURES, fixture);
  const {
    config,
    states,
    batch: { views },
    part,
  } = await firstBatch<ConMIMConfig, ConMIMBatch>(folder);
  const { student, teacher } = views as { student: Float32Array; teacher: Float32Array };
  const mask = part('mask');
  const [batch, K] = mask.shape as [number, number];
  const masks = Array.from({ length: batch }, (_, i) => Uint8Array.from(mask.data.subarray(i * K, (i + 1) * K)));
  const networks = {
    student: new Network(network(config), states.student),
    teacher: new Network(network(config), states.teacher),
  };
  const answers = ask(networks, { images: student, masks, full: teacher }, config);
  const masked = masks.flatMap((one, i) => [...one.keys()].filter((patch) => one[patch]).map((patch) => i * K + patch));

  test('are right as often as replay says, and as the published code says', async () => {
    const out = mkdtempSync(join(tmpdir(), 'replay-'));
    const [first] = await replay(folder, out);
    rmSync(out, { recursive: true });
    const said = JSON.parse(readFileSync(join(folder, 'fixture.json'), 'utf8')).steps[0].lookup_top1;
    const top1 = masked.filter((query) => answers.ranks[query] === 0).length / masked.length;
    expect(top1).toBeCloseTo(first!.lookup_top1!, 6);
    expect(top1).toBeCloseTo(said, 6);
  });

  test('one by one are those of the published queries and keys', () => {
    const { tensors } = readSafetensors(join(folder, 'features.step0.safetensors'));
    const [queries, keys] = [tensors.get('queries')!, tensors.get('keys')!];
    const features = { queries: queries.data, keys: keys.data, out: queries.shape[2]! };
    const published = lookupsOf(features, mask.data, K, config.contrast.temperature);
    expect(published).toHaveLength(masked.length);
    for (let image = 0; image < batch; image++) {
      const own = [...masks[image]!.keys()].filter((patch) => masks[image]![patch]);
      const drawn = own.map((patch) => answerOf(answers, image * K + patch));
      const [want, other] = [image, (image + 1) % batch].map((i) => published.filter((one) => one.image === i));
      sameLookups(drawn, want!);
      expect(() => sameLookups(drawn, other!)).toThrow();
    }
  });

  test('the probabilities of a query sum to one; the best is the true place where the rank says so', () => {
    for (const query of masked) {
      const own = answers.chances.subarray(query * K, (query + 1) * K);
      expect(own.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 4);
      const { patch, probability } = bestOf(answers, query);
      expect(probability).toBe(Math.max(...own));
      if (answers.ranks[query] === 0) expect(patch).toBe(query % K);
      // Rank 0 is found: as many keys are likelier as the rank says, ties but for one another.
      const likelier = own.filter((p) => p > own[query % K]!).length;
      expect(likelier).toBeLessThanOrEqual(answers.ranks[query]!);
    }
  });

  test('the control asks the next image: a batch of equal images has none', () => {
    const side = student.length / batch;
    const equal = new Float32Array(student.length);
    for (let i = 0; i < batch; i++) equal.set(student.subarray(0, side), i * side);
    const same = ask(networks, { images: equal, masks: Array.from({ length: batch }, () => masks[0]!) }, config);
    expect(same.controlRanks).toEqual(same.ranks);
    expect(answers.controlRanks).not.toEqual(answers.ranks);
  });
});
