import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';

const SAMPLE = fileURLToPath(new URL('../resources/sample/', import.meta.url));
const files = (readdirSync(SAMPLE, { recursive: true }) as string[])
  .map((f) => f.replaceAll('\\', '/'))
  .filter((f) => /\.(png|jpe?g)$/.test(f))
  .sort();
const photos = files.filter((f) => f.startsWith('photos/'));
const drawings = files.filter((f) => f.startsWith('clipart/'));

describe('the shipped sample', () => {
  it('is a few MB of distinct, whole pictures', { timeout: 60_000 }, async () => {
    const hashes = new Set<string>();
    let bytes = 0;
    for (const file of files) {
      const content = readFileSync(join(SAMPLE, file));
      bytes += content.length;
      hashes.add(createHash('sha256').update(content).digest('hex'));
      const stats = await sharp(content, { failOn: 'warning' }).stats();
      const spread = Math.max(...stats.channels.slice(0, 3).map((c) => c.stdev));
      expect(spread, `${file} is blank`).toBeGreaterThan(5);
    }
    expect(hashes.size).toBe(files.length);
    expect(bytes).toBeLessThan(6e6);
  });

  it('has nine photographs that leave room for random crops', async () => {
    expect(photos).toHaveLength(9);
    for (const file of photos) {
      const { width, height } = await sharp(join(SAMPLE, file)).metadata();
      expect(Math.min(width, height), file).toBeGreaterThanOrEqual(300);
    }
  });

  it('has eight classes of small drawings, enough in each for k-NN with a split', async () => {
    const classes = Map.groupBy(drawings, (f) => f.split('/')[1]!);
    expect(classes.size).toBe(8);
    for (const [name, members] of classes) expect(members.length, name).toBeGreaterThanOrEqual(30);
    for (const file of drawings) {
      const { width, height } = await sharp(join(SAMPLE, file)).metadata();
      expect(Math.max(width, height), file).toBeLessThanOrEqual(96);
      expect(Math.min(width, height), file).toBeGreaterThanOrEqual(16);
    }
  });

  it('names source and licence of every file, and of no file that is not there', () => {
    const rows = readFileSync(join(SAMPLE, 'SOURCES.md'), 'utf8')
      .split('\n')
      .map((line) => line.split('|').map((cell) => cell.trim()))
      .filter((cells) => /^(photos|clipart)\//.test(cells[1] ?? ''));
    expect(rows.map((cells) => cells[1]).sort()).toEqual(files);
    for (const cells of rows) {
      expect(cells[4], `source of ${cells[1]}`).not.toBe('');
      expect(['CC0 1.0', 'public domain'], `licence of ${cells[1]}`).toContain(cells[5]);
    }
    expect(existsSync(join(SAMPLE, 'licences/CC0-1.0.txt'))).toBe(true);
  });
});
