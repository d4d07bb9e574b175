import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { replay } from '../../electron/bench/replay.ts';
import { loadBackend } from '../../electron/runtime/backend.ts';
import { FIXTURES, parityChecks } from './parity-checks.ts';

const backend = await loadBackend();

describe.each(['relpos', 'abspos'])('replay of %s', (fixture) => {
  const from = join(FIXTURES, fixture);
  const to = mkdtempSync(join(tmpdir(), 'replay-'));
  beforeAll(async () => {
    await replay(from, to);
  });
  afterAll(() => rmSync(to, { recursive: true }));

  test('runs on TensorFlow, or says that it does not', (context) => {
    if (backend.name !== 'tensorflow') context.skip(`no TensorFlow: ${backend.why}`);
    expect(backend.name).toBe('tensorflow');
  });

  parityChecks(fixture, to);
});

test('a fixture without results and features replays too', async () => {
  const from = mkdtempSync(join(tmpdir(), 'bare-'));
  cpSync(join(FIXTURES, 'abspos'), from, { recursive: true });
  const said = JSON.parse(readFileSync(join(from, 'fixture.json'), 'utf8'));
  const steps = said.steps.map(({ lr, weight_decay, momentum }: Record<string, number>) => ({
    lr,
    weight_decay,
    momentum,
  }));
  writeFileSync(join(from, 'fixture.json'), JSON.stringify({ ...said, steps }));
  for (const name of ['gradients.step0', 'features.step0', 'tokens.eval', 'student.final', 'teacher.final'])
    rmSync(join(from, `${name}.safetensors`));
  const got = await replay(from, join(from, 'out'));
  expect(got.map((s) => s.loss)[0]).toBeCloseTo(said.steps[0].loss, 4);
  rmSync(from, { recursive: true });
});
