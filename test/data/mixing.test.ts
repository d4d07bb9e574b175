import { describe, expect, it } from 'vitest';
import { drawMixing, mixImages, mixTargets, randomErase } from '../../electron/data/mixing.ts';
import { stream } from '../../electron/data/random.ts';

const SIDE = 16;
const SIZE = SIDE * SIDE * 3;
const ON = { mixup: 0.8, cutmix: 1, mixup_prob: 1, mixup_switch_prob: 0.5, smoothing: 0.1 };
const draws = (n: number, settings = ON) =>
  Array.from({ length: n }, (_, i) => drawMixing(settings, SIDE, stream(0, 0, i, 'mixing')));

describe('mixing of a batch', () => {
  it('takes both kinds about equally, and lambda as Beta(alpha, alpha) has it', () => {
    const all = draws(4000);
    const mixup = all.filter(({ kind }) => kind === 'mixup') as { lambda: number }[];
    expect(mixup.length / all.length).toBeGreaterThan(0.47);
    expect(mixup.length / all.length).toBeLessThan(0.53);
    const mean = mixup.reduce((sum, { lambda }) => sum + lambda, 0) / mixup.length;
    const variance = mixup.reduce((sum, { lambda }) => sum + (lambda - mean) ** 2, 0) / mixup.length;
    expect(mean).toBeCloseTo(0.5, 1);
    // Beta(a, a) has the variance 1 / (4 (2 a + 1)).
    expect(Math.abs(variance - 1 / (4 * 2.6))).toBeLessThan(0.006);
  });

  it('does nothing where it is off', () => {
    expect(draws(20, { ...ON, mixup: 0, cutmix: 0 }).every(({ kind }) => kind === 'none')).toBe(true);
    expect(draws(20, { ...ON, mixup_prob: 0 }).every(({ kind }) => kind === 'none')).toBe(true);
    expect(draws(50, { ...ON, cutmix: 0 }).every(({ kind }) => kind === 'mixup')).toBe(true);
    expect(draws(50, { ...ON, mixup: 0 }).every(({ kind }) => kind === 'cutmix')).toBe(true);
  });

  it("cutmix's lambda is the share of pixels that stayed", () => {
    for (const mixing of draws(200, { ...ON, mixup: 0 })) {
      const images = new Float32Array(2 * SIZE).fill(1, SIZE);
      mixImages(images, SIDE, mixing);
      const cut = images.subarray(0, SIZE).reduce((sum, v) => sum + v, 0) / SIZE;
      const kept = images.subarray(SIZE).reduce((sum, v) => sum + v, 0) / SIZE;
      expect(mixing.kind === 'cutmix' && mixing.lambda).toBeCloseTo(1 - cut, 6);
      expect(kept).toBeCloseTo(1 - cut, 6);
    }
  });

  it('blends images with those from the end, and targets as images', () => {
    const images = new Float32Array(2 * SIZE).fill(1, SIZE);
    const mixing = { kind: 'mixup', lambda: 0.7 } as const;
    mixImages(images, SIDE, mixing);
    expect(images[0]).toBeCloseTo(0.3, 6);
    expect(images[SIZE]).toBeCloseTo(0.7, 6);
    const targets = mixTargets(Int32Array.of(0, 2), 4, 0.1, mixing);
    const [low, off] = [0.025, 0.9];
    const expected = [low + 0.7 * off, low, low + 0.3 * off, low, low + 0.3 * off, low, low + 0.7 * off, low];
    targets.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 6);
    });
  });

  it('erases a rectangle of 2 % to a third, as often as it is told', () => {
    let erased = 0;
    for (let i = 0; i < 400; i++) {
      const image = new Float32Array(SIZE);
      randomErase(image, SIDE, 0.25, stream(0, 0, i, 'erase'));
      const share = image.filter((v) => v !== 0).length / SIZE;
      if (share === 0) continue;
      erased++;
      expect(share).toBeGreaterThan(0.008);
      expect(share).toBeLessThan(0.42);
    }
    expect(erased).toBeGreaterThan(70);
    expect(erased).toBeLessThan(130);
  });
});
