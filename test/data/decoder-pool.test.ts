import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, expect, it, vi } from 'vitest';
import { decodeImage } from '../../electron/data/decode.ts';
import { DecoderPool } from '../../electron/data/decoder-pool.ts';
import { ImageFault } from '../../electron/data/image-fault.ts';
import type { DecodeMemory } from '../../electron/data/memory.ts';
import { probeFiles } from '../../electron/data/probe-pool.ts';

vi.setConfig({ testTimeout: 120_000 });

const folder = mkdtempSync(join(tmpdir(), 'conmim-pool-'));
afterAll(() => rmSync(folder, { recursive: true }));
const pools: DecoderPool[] = [];
afterEach(() => {
  for (const pool of pools.splice(0)) pool.close();
  vi.unstubAllEnvs();
});
const newPool = (processes: number) => {
  const pool = new DecoderPool(processes);
  pools.push(pool);
  return pool;
};

async function pictures(count: number): Promise<string[]> {
  const paths = Array.from({ length: count }, (_, i) => join(folder, `${count} ${i}.png`));
  for (const [i, path] of paths.entries())
    await sharp({ create: { width: 20 + i, height: 20, channels: 3, background: { r: i, g: 9, b: 9 } } })
      .png()
      .toFile(path);
  return paths;
}

/** Processes of this one that decode. */
function decoders(): number[] {
  const task = `/proc/${process.pid}/task`;
  const children = readdirSync(task).flatMap((id) => {
    try {
      return readFileSync(`${task}/${id}/children`, 'latin1').split(' ').filter(Boolean).map(Number);
    } catch {
      return []; // a thread that has ended
    }
  });
  return children.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('decoder-process');
    } catch {
      return false;
    }
  });
}
const killAll = () => {
  for (const pid of decoders())
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // it has ended
    }
};

const linux = it.skipIf(process.platform !== 'linux');

linux('tries what was in hand again when a process is lost, and gives every image its own result', async () => {
  const paths = await pictures(60);
  const pool = newPool(2);
  const asked = paths.map((path) => pool.run({ kind: 'probe', path, limits: {} }));
  await asked[0];
  killAll();
  for (const [i, result] of (await Promise.all(asked)).entries())
    expect(result).toMatchObject({ width: 20 + i, reason: null });
});

linux('says of an image that ends its process even alone what that means, and goes on', async () => {
  const [path, other] = await pictures(2);
  const pool = newPool(1);
  const killing = setInterval(killAll, 5);
  const error = await pool.run({ kind: 'probe', path: path!, limits: {} }).catch((e) => e);
  clearInterval(killing);
  expect(error).toBeInstanceOf(ImageFault);
  expect(error).toMatchObject({ reason: 'too-large', message: expect.stringContaining('too much memory') });
  expect(await pool.run({ kind: 'probe', path: other!, limits: {} })).toMatchObject({ reason: null });
});

it('refuses an image that needs more memory than there is, everywhere, and names what would change it', async () => {
  const path = join(folder, 'vast.png');
  // 25 million pixels in some 100 kB.
  const flat = sharp({
    create: { width: 5000, height: 5000, channels: 3, background: '#456' },
    limitInputPixels: false,
  });
  await flat.png({ compressionLevel: 9 }).toFile(path);
  const probe = async () => {
    for await (const [one] of probeFiles([{ absolute: path }], { processes: 1 })) return one!.result;
  };
  expect(await probe()).toMatchObject({ reason: null });
  vi.stubEnv('CONMIM_DECODE_MEMORY_MB', '64');
  const refused = await probe();
  expect(refused).toMatchObject({ reason: 'too-large', width: 5000, hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
  expect(refused!.detail).toMatch(/too much memory.*CONMIM_DECODE_MEMORY_MB/);
  vi.resetModules(); // what this process may use is asked once
  const { decodeImage: again } = await import('../../electron/data/decode.ts');
  await expect(again(path)).rejects.toMatchObject({ kind: 'bad-file', why: refused!.detail });
});

it('shares memory: never more is taken than there is, and everybody has their turn', async () => {
  vi.stubEnv('CONMIM_DECODE_MEMORY_MB', '1000');
  vi.resetModules();
  const { DecodeMemory: Shared } = (await import('../../electron/data/memory.ts')) as {
    DecodeMemory: typeof DecodeMemory;
  };
  const first = new Shared();
  const threads = [first, new Shared(first.shared), new Shared(first.shared)];
  let taken = 0;
  let most = 0;
  const work = async (i: number) => {
    const mb = [100, 400, 700, 2000][i % 4]!;
    const give = await threads[i % 3]!.take(mb * 1e6);
    taken += Math.min(mb, 1000);
    most = Math.max(most, taken);
    await new Promise((resolve) => setTimeout(resolve, 2));
    taken -= Math.min(mb, 1000);
    give();
  };
  await Promise.all(Array.from({ length: 40 }, (_, i) => work(i)));
  expect(most).toBeGreaterThan(700);
  expect(most).toBeLessThanOrEqual(1000);
});

it('cancels what is open when it is closed', async () => {
  const [path] = await pictures(1);
  const pool = newPool(1);
  const asked = pool.run({ kind: 'probe', path: path!, limits: {} }).catch((e) => e);
  pool.close();
  expect(await asked).toMatchObject({ kind: 'canceled' });
  await expect(pool.run({ kind: 'probe', path: path!, limits: {} })).rejects.toMatchObject({ kind: 'canceled' });
});

it('says what is wrong with each of many bad files by its own words, whatever is beside it', async () => {
  const noise = Buffer.from(Array.from({ length: 96 * 96 * 3 }, (_, i) => (i * 7919) % 251));
  const image = () => sharp(noise, { raw: { width: 96, height: 96, channels: 3 } });
  const jpeg = (await image().jpeg().toBuffer()).subarray(0, -12);
  const png = await image().png().toBuffer();
  png[png.length >> 1]! ^= 255;
  const files = Array.from({ length: 60 }, (_, i) => {
    const absolute = join(folder, `bad ${i}`);
    // No two alike, behind what the decoder reads.
    writeFileSync(absolute, i % 2 ? Buffer.concat([jpeg, Buffer.from([i])]) : Buffer.concat([png, Buffer.from([i])]));
    return { absolute, isJpeg: i % 2 === 1 };
  });
  for (let round = 0; round < 2; round++)
    for await (const batch of probeFiles(files, { processes: 2 }))
      for (const { file, result } of batch)
        expect(result).toMatchObject(
          file.isJpeg
            ? { reason: 'truncated', detail: expect.stringContaining('premature end of JPEG') }
            : { reason: 'unreadable', detail: expect.stringMatching(/PNG data is damaged \(.*png/) },
        );
  await expect(decodeImage(files[0]!.absolute)).rejects.toMatchObject({ why: 'its PNG data is damaged' });
});
