import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { methodOf, parseRunConfig, settingOf } from '../../methods/index.ts';
import { measuresIn } from '../../shared/feature-measures.ts';
import type { Metric } from '../../shared/run.ts';
import { type Verdict, verdictOf } from '../../shared/verdict.ts';
import { metric } from '../store/helpers.ts';

/** A run that tools/verdicts/record.mjs has trained. */
interface Recorded {
  healthy: boolean;
  /** What it has to be called, and settings that have to be named, the likeliest first. */
  verdict: Verdict['kind'] | null;
  causes: string[] | null;
  settings: object;
  total_steps: number;
  error: string | null;
  loss: (number | null)[];
  /** By step: of those that are measured seldom, a record of the steps that have them. */
  figures: Record<string, (number | null)[] | Record<string, number | null>>;
}
const FILE = join(import.meta.dirname, '../fixtures/verdicts/runs.json');
const RUNS = Object.entries(JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, Recorded>).map(([name, run]) => ({
  name,
  ...run,
  config: parseRunConfig(run.settings),
  metrics: metricsOf(run),
}));

function metricsOf({ loss, figures }: Recorded): Metric[] {
  return loss.map((value, i) => {
    const step = i + 1;
    const here = Object.entries(figures).flatMap(([key, values]) => {
      const at = Array.isArray(values) ? values[i] : values[step];
      return at === undefined ? [] : [[key, at]];
    });
    return metric(step, { loss: value ?? Number.NaN, figures: Object.fromEntries(here) as Metric['figures'] });
  });
}

/** What is said of a run after so many steps: while it trains, and at its end. */
function after({ config, metrics, total_steps, error }: (typeof RUNS)[number], steps: number): Verdict {
  const some = metrics.slice(0, steps);
  const hasEnded = steps >= metrics.length;
  return verdictOf(methodOf(config), {
    config,
    status: hasEnded ? (error ? 'failed' : 'finished') : 'running',
    step: some.length,
    total_steps,
    error: hasEnded ? error : null,
    metrics: some,
    measures: measuresIn(some),
  });
}
const isAlarm = ({ level }: Verdict) => level === 'warn' || level === 'bad';
const table = (title: string, lines: string[]) => process.stdout.write(`${title}\n  ${lines.join('\n  ')}\n`);

describe('runs that were trained', () => {
  const wrong = RUNS.filter(({ healthy }) => !healthy);
  const healthy = RUNS.filter((run) => run.healthy);

  test('those that go wrong are named right, with the setting that leads to it', () => {
    expect(wrong.length).toBeGreaterThanOrEqual(12);
    const said = wrong.map((run) => ({ run, verdict: after(run, run.metrics.length) }));
    table(
      `${wrong.length} runs that go wrong`,
      said.map(({ run, verdict: { kind, cause, better } }) =>
        [run.name.padEnd(36), kind.padEnd(12), better?.label ?? '', cause].join('  '),
      ),
    );
    for (const { run, verdict } of said) {
      expect(verdict.kind, `${run.name}: ${verdict.sentence}`).toBe(run.verdict);
      const keys = Object.keys(verdict.better?.changes ?? {});
      for (const key of run.causes ?? []) expect(keys, run.name).toContain(key);
      // What is better is another value, and a run that can be made.
      for (const key of keys)
        expect(verdict.better!.changes[key], `${run.name}, ${key}`).not.toEqual(settingOf(run.config, key));
      expect(() => withChanges(run.settings, verdict.better?.changes ?? {}), run.name).not.toThrow();
    }
  });

  test('healthy ones raise no alarm, at any step', () => {
    expect(healthy.length).toBeGreaterThanOrEqual(20);
    const lines: string[] = [];
    const false_alarms: string[] = [];
    for (const run of healthy) {
      const kinds: string[] = [];
      for (let steps = 10; steps <= run.metrics.length; steps += 5) {
        const verdict = after(run, steps);
        if (kinds.at(-1) !== verdict.kind) kinds.push(verdict.kind);
        if (isAlarm(verdict)) false_alarms.push(`${run.name}, step ${steps}: ${verdict.kind}: ${verdict.sentence}`);
      }
      const { kind, sentence } = after(run, run.metrics.length);
      lines.push(`${run.name.padEnd(36)}  ${kinds.join(', ').padEnd(28)}  ${sentence}`);
      expect(['learns', 'plateau', 'unknown'], run.name).toContain(kind);
    }
    table(`${healthy.length} healthy runs`, lines);
    expect(false_alarms).toEqual([]);
  });

  test('what goes wrong is called nothing else that is wrong before', () => {
    const others: string[] = [];
    for (const run of wrong) {
      for (let steps = 10; steps < run.metrics.length; steps += 5) {
        const verdict = after(run, steps);
        // A loss that rises comes before one that stays at guessing, and both before features are measured that are one.
        const before: Verdict['kind'][] = ['diverging', 'not-started', 'collapsed'];
        const place = before.indexOf(run.verdict!);
        const begins = place > 0 && before.slice(0, place).includes(verdict.kind);
        const isRight = verdict.kind === run.verdict || begins;
        if (isAlarm(verdict) && !isRight)
          others.push(`${run.name}, step ${steps}: ${verdict.kind}: ${verdict.sentence}`);
      }
    }
    expect(others).toEqual([]);
  });
});

function withChanges(settings: object, changes: Record<string, unknown>) {
  const all = structuredClone(settings) as Record<string, Record<string, unknown>>;
  for (const [key, value] of Object.entries(changes)) {
    const [section, field] = key.split('.') as [string, string];
    all[section] = { ...all[section], [field]: value };
  }
  return parseRunConfig(all);
}
