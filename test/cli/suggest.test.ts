import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, expect, test, vi } from 'vitest';
import { databaseIn } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';
import { scratch } from '../store/helpers.ts';
import { given } from './here.ts';

afterEach(() => vi.unstubAllEnvs());

test('says what to train by the images and the speed of the machine, and trains it', async () => {
  const here = scratch();
  vi.stubEnv('CONMIM_HOME', join(here, 'home'));
  mkdirSync(join(here, 'pictures'));
  for (let i = 0; i < 6; i++)
    await sharp({ create: { width: 48, height: 40, channels: 3, background: { r: 40 * i, g: 90, b: 200 - 30 * i } } })
      .png()
      .toFile(join(here, 'pictures', `${i}.png`));
  await given('import', join(here, 'pictures'), '--name', 'six');
  const { stdout } = await given('suggest', 'six', '--json');
  const { images, width, height, suggestions } = JSON.parse(stdout);
  expect([images, width, height]).toEqual([6, 48, 40]);
  expect(suggestions.map(({ budget }: { budget: { key: string } }) => budget.key)).toEqual([
    ...['quick', 'good', 'overnight'],
  ]);
  const [quick, good] = suggestions;
  expect(good.changes).toMatchObject({ 'model.image_size': 32, 'train.batch_size': 4 });
  expect(quick.steps).toBeGreaterThanOrEqual(1500);
  expect(quick.minutes).toBeGreaterThan(0);
  expect((await given('suggest', 'six')).stdout).toMatch(
    /^6 images of about 48 x 40 px\n\nQuick look: .*--plan quick/s,
  );

  const refused = async (...args: string[]) => {
    const { said, status } = await given('pretrain', 'six', ...args);
    expect(status).toBe(1);
    return said;
  };
  expect(await refused('--plan', 'good', '--epochs', '3')).toContain('--plan and --epochs exclude each other');
  expect(await refused('--plan', 'fast')).toContain('Plans: quick (5 min), good (40 min), overnight (8 h).');
  await given('pretrain', 'six', '--plan', 'quick', '--set', 'train.steps=2', '--set', 'model.depth=1');
  const store = Store.open(databaseIn(join(here, 'home')));
  const run = store.runs.list()[0]!;
  expect([run.status, run.total_steps, run.config.train.batch_size]).toEqual(['finished', 2, 4]);
  store.close();
});
