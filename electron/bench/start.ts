import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '../../shared/errors.ts';
import { ROOT } from '../files/project.ts';
import { SPANS, type Span } from '../processes/spans.ts';
import { median } from './step.ts';

/** How long it takes from the command to the first step, in seconds. */
export interface StartBench {
  /** As it was typed. */
  command: string;
  starts: number;
  /** From the start of the first process to the first step's metric. */
  median_s: number;
  least_s: number;
  most_s: number;
  all_s: number[];
  /** Medians, by when they begin, after the start of the first process; parts may overlap. */
  parts: { part: string; from_s: number; takes_s: number }[];
}

/** The part that ends with the first step's metric. */
export const LAST_PART = 'first step';

/** The program as a person starts it: through npm where npm started this one, else the built command itself. */
export function programCommand(): { words: string; program: string; args: string[] } {
  const { npm_execpath, npm_node_execpath } = process.env;
  return npm_execpath && npm_node_execpath
    ? {
        words: 'npm run --silent conmim --',
        program: npm_node_execpath,
        args: [npm_execpath, 'run', '--silent', 'conmim', '--'],
      }
    : {
        words: 'node out/electron/cli.js',
        program: process.execPath,
        args: [join(ROOT, 'out', 'electron', 'cli.js')],
      };
}

export interface StartOptions {
  /** Where the dataset is, and where the runs are put. */
  home: string;
  dataset: string;
  preset: string;
  starts: number;
  signal: AbortSignal;
  /** Names a run that is made, so that it can be removed. */
  nameOf(start: number): string;
  onProgress(done: number, total: number): void;
}

/** Starts whole pretrainings of one step, one after the other, and asks when their parts began and ended. */
export async function benchStart(options: StartOptions): Promise<StartBench> {
  const { home, dataset, preset, starts, signal, nameOf, onProgress } = options;
  const { words, program, args } = programCommand();
  const pretrain = ['pretrain', dataset, '--preset', preset, '--steps', '1'];
  const found: Span[][] = [];
  for (let start = 1; start <= starts; start++) {
    if (signal.aborted) throw new AppError('canceled', 'The measurement was ended.');
    onProgress(start, starts);
    const own = ['--name', nameOf(start), '--home', home];
    found.push(await oneStart(program, [...args, ...pretrain, ...own], join(home, `spans-${process.pid}`)));
  }
  const all = found.map((spans) => spans.find(({ part }) => part === LAST_PART)!.to / 1000);
  const parts = found[0]!.map(({ part }) => {
    const same = found.map((spans) => spans.find((one) => one.part === part)!);
    return {
      part,
      from_s: median(same.map(({ from }) => from)) / 1000,
      takes_s: median(same.map(({ from, to }) => to - from)) / 1000,
    };
  });
  return {
    command: [words, ...pretrain].join(' '),
    starts,
    median_s: median(all),
    least_s: Math.min(...all),
    most_s: Math.max(...all),
    all_s: all,
    parts: parts.sort((a, b) => a.from_s - b.from_s),
  };
}

/** @returns parts of one start, ms after its beginning */
async function oneStart(program: string, args: string[], file: string): Promise<Span[]> {
  rmSync(file, { force: true });
  const began = performance.timeOrigin + performance.now();
  const child = spawn(program, args, {
    cwd: ROOT,
    env: { ...process.env, [SPANS]: file },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new AppError('internal', 'A start failed.', said.trim().split('\n').slice(-3).join(' '));
  const spans = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Span)
    .map(({ part, from, to }) => ({ part, from: from - began, to: to - began }));
  rmSync(file);
  const first = Math.min(...spans.map(({ from }) => from));
  return [{ part: 'npm and set-up', from: 0, to: first }, ...spans];
}
