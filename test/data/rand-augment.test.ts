import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import {
  amountOf,
  applyRandAugment,
  drawRandAugment,
  OPERATIONS,
  type Operation,
} from '../../electron/data/rand-augment.ts';
import { type Random, stream } from '../../electron/data/random.ts';
import { isRandAugment, PUBLISHED_AA, parseRandAugment } from '../../shared/rand-augment.ts';

/** What timm 0.3.2 on Pillow makes of one picture (tools/reference/randaugment_pillow.py). */
const FOLDER = join(import.meta.dirname, '../fixtures/randaugment');
interface Case {
  level: number;
  sign: 1 | -1;
  increasing: boolean;
  amount: number | null;
}
const { fill, operations, policies } = JSON.parse(readFileSync(join(FOLDER, 'cases.json'), 'utf8')) as {
  fill: number[];
  operations: Record<string, { op: Operation; cases: Case[] }>;
  policies: { words: string; chosen: number[]; draws: number[] }[];
};
const read = async (name: string) => {
  const { data, info } = await sharp(join(FOLDER, `${name}.png`))
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { data: new Uint8Array(data), side: info.width };
};
const input = await read('input');
const SIZE = input.data.length;

describe('operations equal Pillow, at every magnitude', () => {
  test('all operations of both kinds are there', () => {
    expect(new Set(Object.values(operations).map(({ op }) => op))).toEqual(new Set(OPERATIONS));
    const strengths = Object.values(operations).map(({ cases }) => new Set(cases.map(({ level }) => level)).size);
    expect(Math.min(...strengths.filter((n) => n > 1))).toBe(6);
    expect(strengths.filter((n) => n === 1)).toHaveLength(3); // AutoContrast, Equalize, Invert
  });

  test.each(Object.keys(operations))('%s', async (name) => {
    const { op, cases } = operations[name]!;
    const want = await read(name);
    expect(want.data.length).toBe(cases.length * SIZE);
    let changed = 0;
    for (const [i, { level, sign, increasing, amount }] of cases.entries()) {
      const got = amountOf(op, level, sign, increasing);
      if (amount === null) expect(got).toBeNull();
      else expect(got).toBeCloseTo(amount, 12);
      const rgb = input.data.slice();
      applyRandAugment(rgb, input.side, [{ op, amount }], fill);
      const own = want.data.subarray(i * SIZE, (i + 1) * SIZE);
      const off = rgb.reduce((sum, v, at) => sum + Math.abs(v - own[at]!), 0);
      expect(off, `magnitude ${level}, ${sign}`).toBe(0);
      if (rgb.some((v, at) => v !== input.data[at])) changed++;
    }
    expect(changed).toBeGreaterThanOrEqual(Math.min(cases.length, 3));
  });
});

/** Says what was drawn elsewhere, in the order in which it is asked for. */
const scripted = (chosen: number[], draws: number[], { std, magnitude }: { std: number; magnitude: number }) => {
  const [choices, rest] = [[...chosen], [...draws]];
  return {
    int: () => choices.shift()!,
    next: () => rest.shift() ?? 0,
    normal: () => (rest.shift()! - magnitude) / std,
  } as unknown as Random;
};

test('whole policies equal timm, given the same draws', async () => {
  const want = await read('composite');
  let done = 0;
  for (const [i, { words, chosen, draws }] of policies.entries()) {
    const policy = parseRandAugment(words)!;
    // timm asks for a direction only where there are two: a draw is put in where this program asks without need.
    const rest: number[] = [];
    const given = [...draws];
    for (const at of chosen) {
      const isDone = given.shift()!;
      rest.push(isDone);
      if (isDone > 0.5) continue;
      if (policy.std > 0) rest.push(given.shift()!);
      const op = OPERATIONS[at]!;
      const hasTwo =
        /Rotate|Shear|Translate/.test(op) ||
        (policy.increasing && /Color|Contrast|Brightness|Sharpness/.test(op) && op !== 'AutoContrast');
      rest.push(hasTwo ? given.shift()! : 0);
    }
    expect(given).toEqual([]);
    const drawn = drawRandAugment(policy, scripted(chosen, rest, policy));
    done += drawn.length;
    const rgb = input.data.slice();
    applyRandAugment(rgb, input.side, drawn, fill);
    const own = want.data.subarray(i * SIZE, (i + 1) * SIZE);
    expect(
      rgb.reduce((sum, v, at) => sum + Math.abs(v - own[at]!), 0),
      words,
    ).toBe(0);
  }
  expect(done).toBeGreaterThan(6);
});

describe('what is drawn', () => {
  const published = parseRandAugment(PUBLISHED_AA)!;
  const draws = Array.from({ length: 6000 }, (_, image) =>
    drawRandAugment(published, stream(3, 0, image, 'randaugment')),
  );

  test('half of two operations, each as often; magnitudes about nine; both directions', () => {
    const all = draws.flat();
    expect(all.length / (2 * draws.length)).toBeCloseTo(0.5, 1);
    for (const op of OPERATIONS) {
      const share = all.filter((one) => one.op === op).length / all.length;
      expect(Math.abs(share - 1 / OPERATIONS.length), op).toBeLessThan(0.015);
    }
    const turned = all.flatMap(({ op, amount }) => (op === 'Rotate' ? [amount!] : []));
    const levels = turned.map((degrees) => Math.abs(degrees) / 3);
    const mean = levels.reduce((a, b) => a + b, 0) / levels.length;
    const std = Math.sqrt(levels.reduce((sum, x) => sum + (x - mean) ** 2, 0) / levels.length);
    expect(mean).toBeCloseTo(9, 1);
    expect(std).toBeGreaterThan(0.42); // 0.5, less what is cut at 10
    expect(std).toBeLessThan(0.55);
    expect(turned.filter((degrees) => degrees < 0).length / turned.length).toBeCloseTo(0.5, 1);
  });

  test('the same for the same seed, epoch and image; other for others', () => {
    const draw = (seed: number, epoch: number, image: number) =>
      Array.from({ length: 20 }, (_, i) =>
        drawRandAugment(published, stream(seed, epoch, image + 100 * i, 'randaugment 0')),
      );
    expect(draw(1, 2, 3)).toEqual(draw(1, 2, 3));
    for (const other of [draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4)]) expect(other).not.toEqual(draw(1, 2, 3));
  });
});

test('words: those of timm; what is not understood is refused', () => {
  expect(parseRandAugment('rand-m9-mstd0.5-inc1')).toEqual({ magnitude: 9, layers: 2, std: 0.5, increasing: true });
  expect(parseRandAugment('rand-m10-n3')).toEqual({ magnitude: 10, layers: 3, std: 0, increasing: false });
  expect(parseRandAugment('none')).toBeNull();
  for (const words of ['rand-m11', 'rand-x3', 'augmix-m5', 'rand-w0', '', 'rand-m9-'])
    expect(isRandAugment(words), words).toBe(false);
});
