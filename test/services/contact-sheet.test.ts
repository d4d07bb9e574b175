import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import {
  type ContactAnswer,
  type ContactRow,
  chooseAnswers,
  contactSheet,
  reassemble,
} from '../../electron/services/sheets/contact.ts';
import { textPath, textWidth } from '../../electron/services/sheets/letters.ts';
import { sheetWriter } from '../../electron/services/sheets/paper.ts';

const folder = mkdtempSync(join(tmpdir(), 'conmim-sheet-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Patch p of a 4 x 4 grid is all of one colour, [16 p, 200, 255 - 16 p]; patches 5, 6 and 10 are masked. */
function row(answers: ContactAnswer[]): ContactRow {
  const size = 32;
  const teacher = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const patch = (y >> 3) * 4 + (x >> 3);
      teacher.set([16 * patch, 200, 255 - 16 * patch], (y * size + x) * 3);
    }
  const mask = new Uint8Array(16);
  for (const p of [5, 6, 10]) mask[p] = 1;
  return { title: 'four & <by> four', student: teacher.slice(), teacher, size, grid: 4, mask, answers };
}
const answers: ContactAnswer[] = [
  { patch: 5, answer: 5, probability: 0.9, rank: 1 },
  { patch: 6, answer: 0, probability: 0.4, rank: 7 },
  { patch: 10, answer: 15, probability: 0.3, rank: 2 },
];

/** How many pixels of a rectangle are of about this colour. */
async function count(file: string, rgb: number[], near = 24): Promise<number> {
  const { data } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  let n = 0;
  for (let i = 0; i < data.length; i += 3) if (rgb.every((v, c) => Math.abs(v - data[i + c]!) <= near)) n++;
  return n;
}
const GREEN = [0x2f, 0x9e, 0x55];
const ORANGE = [0xe8, 0x86, 0x2e];

describe('reassemble', () => {
  it('puts the looked-up patch of the teacher in place of each masked one and leaves the rest', () => {
    const r = row(answers);
    const image = reassemble(r);
    const red = (patch: number, dx: number, dy: number) =>
      image[(((patch >> 2) * 8 + dy) * 32 + (patch % 4) * 8 + dx) * 3];
    const expected = [...Array(16).keys()].map((p) => 16 * ({ 6: 0, 10: 15 }[p] ?? p));
    for (const [dx, dy] of [
      [0, 0],
      [7, 0],
      [0, 7],
      [7, 7],
    ] as const)
      expect([...Array(16).keys()].map((p) => red(p, dx, dy))).toEqual(expected);
    expect(r.teacher).toEqual(row(answers).teacher);
  });
});

describe('chooseAnswers', () => {
  const many = (rights: number, wrongs: number) =>
    Array.from({ length: rights + wrongs }, (_, patch) => ({
      patch,
      answer: patch < rights ? patch : 99,
      probability: 0.5,
      rank: patch < rights ? 1 : 2,
    }));
  const rights = (list: ContactAnswer[]) => list.filter((a) => a.patch === a.answer).length;

  it('shows right and wrong answers in the proportion they have', () => {
    expect(rights(chooseAnswers(many(36, 12), 8))).toBe(6);
    expect(chooseAnswers(many(36, 12), 8)).toHaveLength(8);
  });
  it('hides neither a lone right nor a lone wrong answer', () => {
    expect(rights(chooseAnswers(many(1, 47), 8))).toBe(1);
    expect(rights(chooseAnswers(many(47, 1), 8))).toBe(7);
    expect(rights(chooseAnswers(many(0, 48), 8))).toBe(0);
  });
  it('shows a patch once', () => {
    for (const [r, w] of [
      [36, 12],
      [2, 30],
      [9, 0],
    ] as const) {
      const chosen = chooseAnswers(many(r, w), 8).map((a) => a.patch);
      expect(new Set(chosen).size).toBe(chosen.length);
    }
  });
});

describe('contactSheet', () => {
  it('frames right answers green and wrong ones orange', async () => {
    const wrong = answers.map((a) => ({ ...a, answer: 0, rank: 3 }));
    const right = answers.map((a) => ({ ...a, answer: a.patch, rank: 1 }));
    const sheets = { wrong: join(folder, 'wrong.png'), right: join(folder, 'right.png') };
    await contactSheet([row(wrong)], sheets.wrong);
    await contactSheet([row(right)], sheets.right);
    // What both have is the two squares of the legend.
    expect(await count(sheets.right, GREEN)).toBeGreaterThan((await count(sheets.wrong, GREEN)) + 500);
    expect(await count(sheets.wrong, ORANGE)).toBeGreaterThan((await count(sheets.right, ORANGE)) + 500);
  });

  it('draws whatever a file is called, whole or cut', async () => {
    const odd = 'a\x1b[31m\u0001\f\n\u202e\ufffe\uffff\ud83d<&"\'🐈';
    for (const [i, title] of [odd, odd.repeat(20), '\udc08'.repeat(60)].entries()) {
      const out = join(folder, `odd-${i}.png`);
      await contactSheet([{ ...row(answers), title }], out, { caption: title, heading: title });
      expect((await sharp(out).metadata()).format).toBe('png');
    }
  });

  it('grows by the row and draws its words', async () => {
    const one = join(folder, 'one.png');
    const two = join(folder, 'two.png');
    await contactSheet([row(answers)], one, { caption: 'Top-1 33 % (chance 6 %)\nsecond line' });
    await contactSheet([row(answers), row(answers)], two);
    const a = await sharp(one).metadata();
    const b = await sharp(two).metadata();
    expect(a.format).toBe('png');
    expect(b.width).toBe(a.width);
    expect(b.height - a.height).toBeGreaterThan(192 - 40);
    const heading = sharp(one).extract({ left: 0, top: 0, width: a.width, height: 60 });
    expect((await heading.stats()).channels[0]!.stdev).toBeGreaterThan(5);
  });

  it('refuses a mask, a view or an answer that does not fit', async () => {
    const out = join(folder, 'bad.png');
    const bad = [
      { ...row(answers), mask: new Uint8Array(9) },
      { ...row(answers), teacher: new Uint8Array(12) },
      { ...row(answers), grid: 5 },
      row([{ patch: 0, answer: 0, probability: 1, rank: 1 }]),
      row([{ patch: 5, answer: 16, probability: 1, rank: 1 }]),
    ];
    for (const r of bad) await expect(contactSheet([r], out)).rejects.toMatchObject({ kind: 'bad-input' });
  });
});

describe('letters', () => {
  it('tells every letter, digit and sign that is used from every other', () => {
    const used = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;-+=/%()·…–×→≥éüßñЖλ'];
    const paths = used.map((c) => textPath(c, 0, 0, 100));
    expect(new Set(paths).size).toBe(used.length);
    const box = textPath('\u4e2d', 0, 0, 100);
    expect(box).toBe(textPath('\ud7a3', 0, 0, 100));
    expect(paths).not.toContain(box);
  });

  it('are what the font file says: an A of straight lines, as high as a capital, as wide as it advances', () => {
    const letter = textPath('A', 10, 200, 2048); // a pixel is a unit of the font
    const points = [...letter.matchAll(/(-?[\d.]+) (-?[\d.]+)/g)].map((m) => [Number(m[1]), Number(m[2])] as const);
    expect(letter).not.toMatch(/[CQ]/);
    expect(Math.min(...points.map(([, y]) => y))).toBe(200 - 1493); // DejaVu's height of capitals, in its OS/2 table
    expect(Math.max(...points.map(([, y]) => y))).toBe(200);
    expect(textWidth('A', 2048)).toBe(1401);
    expect(textWidth('0000', 1024)).toBe((4 * 1303) / 2);
  });

  it('never leave their sheet: what is too long becomes smaller', () => {
    const write = sheetWriter(200);
    const right = (svg: string) => Math.max(...[...svg.matchAll(/(-?[\d.]+) -?[\d.]+/g)].map((m) => Number(m[1])));
    expect(right(write('short', 100, 20, 12))).toBeLessThan(140);
    expect(right(write('W'.repeat(90), 100, 20, 12))).toBeLessThanOrEqual(200.5);
    expect(write('', 100, 20, 12)).toContain('d=""');
  });

  it('make the same sheet on every machine, whatever fonts it has', async () => {
    const sheet = (out: string, env: NodeJS.ProcessEnv) => {
      const code = `
        import { saveSheet, sheetWriter } from ${JSON.stringify(new URL('../../electron/services/sheets/paper.ts', import.meta.url).href)};
        const body = sheetWriter(300)('Rank 1 · 23 %', 10, 30, 20);
        await saveSheet(300, 60, [], body, ${JSON.stringify(out)});`;
      const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
        env: { ...process.env, ...env },
        encoding: 'utf8',
      });
      expect(status, stderr).toBe(0);
      return readFileSync(out);
    };
    const none = join(folder, 'no fonts');
    mkdirSync(none);
    writeFileSync(join(none, 'fonts.conf'), '<fontconfig><dir>/nowhere</dir></fontconfig>');
    const without = sheet(join(folder, 'without.png'), {
      FONTCONFIG_PATH: none,
      FONTCONFIG_FILE: join(none, 'fonts.conf'),
    });
    expect(without).toEqual(sheet(join(folder, 'with.png'), {}));
    expect((await sharp(without).stats()).channels[0]!.stdev).toBeGreaterThan(5);
  });
});
