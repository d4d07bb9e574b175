import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AskedProcess, askProcess } from '../../electron/processes/asked-process.ts';
import { AppError } from '../../shared/errors.ts';
import { isAlive } from '../processes.ts';

interface Questions {
  double: [number, number];
  slow: [number, string];
  fails: [null, never];
  dies: [null, never];
  pid: [null, number];
  hangs: [null, never];
}

const ROOT = join(import.meta.dirname, '../..');
const WORDS = { does: 'is tested', next: 'Test it again.' };
let folder: string;
let program: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'asked-'));
  program = worker('');
});
afterEach(() => rmSync(folder, { recursive: true }));

function worker(options: string): string {
  const path = join(folder, `worker${options.length}.mjs`);
  const url = (file: string) => JSON.stringify(pathToFileURL(join(ROOT, file)).href);
  writeFileSync(
    path,
    `import { answer } from ${url('electron/processes/answer.ts')};
     import { AppError } from ${url('shared/errors.ts')};
     answer({
       double: (n) => 2 * n,
       slow: (ms, onProgress) => new Promise((resolve) => {
         onProgress(1, 2, 'half');
         setTimeout(() => resolve('after ' + ms), ms);
       }),
       fails: () => { throw new AppError('not-found', 'It is not there.', 'Nobody put it there.', 'Put it there.'); },
       dies: () => process.kill(process.pid, 'SIGSEGV'),
       pid: () => process.pid,
       hangs: () => { for (;;); },
     }${options});`,
  );
  return path;
}

const asked = async <T>(work: (process: AskedProcess<Questions>) => Promise<T>, at = program): Promise<T> => {
  const process = new AskedProcess<Questions>(at, [], WORDS);
  try {
    return await work(process);
  } finally {
    process.end(new AppError('canceled', 'The test is over.'));
  }
};

test('a process answers many questions, the quick ones first; an error keeps its kind and words', async () => {
  await asked(async (process) => {
    const order: unknown[] = [];
    const slow = process.ask('slow', 300, (...progress) => order.push(progress));
    await Promise.all([slow.then((it) => order.push(it)), process.ask('double', 21).then((it) => order.push(it))]);
    expect(order).toEqual([[1, 2, 'half'], 42, 'after 300']);
    const error = await process.ask('fails', null).catch((it) => it);
    expect(error).toBeInstanceOf(AppError);
    expect(error.toJSON()).toMatchObject({ kind: 'not-found', why: 'Nobody put it there.', next: 'Put it there.' });
    expect(process.open).toBe(0);
  });
});

test('in turn, the slow one is waited for; what has to be there first fails what is asked', async () => {
  await asked(async (process) => {
    const order: unknown[] = [];
    const ask = (answer: Promise<unknown>) => answer.then((it) => order.push(it));
    await Promise.all([ask(process.ask('slow', 200)), ask(process.ask('double', 1))]);
    expect(order).toEqual(['after 200', 2]);
  }, worker(', { inTurn: true }'));
  const broken = asked(
    (process) => process.ask('double', 1),
    worker(", { after: Promise.reject(new Error('no GPU')) }"),
  );
  await expect(broken).rejects.toMatchObject({ message: 'no GPU' });
});

test('one that dies fails what is open, and what is asked later, in words', async () => {
  await asked(async (process) => {
    const what = { kind: 'trainer-died', message: 'The process that is tested ended without a word.' };
    const lost = { ...what, why: expect.stringMatching(/^Signal SIGSEGV: native code/), next: 'Test it again.' };
    const open = process.ask('slow', 60_000);
    await Promise.all([
      expect(open).rejects.toMatchObject(lost),
      expect(process.ask('dies', null)).rejects.toMatchObject(lost),
    ]);
    expect(process.isEnded && process.isGone).toBe(true);
    await expect(process.ask('double', 1)).rejects.toMatchObject(lost);
  });
});

test('a question of its own process: canceled at once, and the process goes with its answer', async () => {
  const control = new AbortController();
  const onProgress = () => control.abort();
  const slow = askProcess<Questions, 'slow'>(program, [], 'slow', 60_000, {
    ...WORDS,
    signal: control.signal,
    onProgress,
  });
  await expect(slow).rejects.toMatchObject({ kind: 'canceled' });
  const pid = await askProcess<Questions, 'pid'>(program, [], 'pid', null, WORDS);
  await expect.poll(() => isAlive(pid)).toBe(false);
  const after = askProcess<Questions, 'double'>(program, [], 'double', 1, { ...WORDS, signal: control.signal });
  await expect(after).rejects.toMatchObject({ kind: 'canceled' });
});

test('what says nothing for longer than it may is ended; what says something is not', async () => {
  const hangs = askProcess<Questions, 'hangs'>(program, [], 'hangs', null, { ...WORDS, patience: 1500 });
  await expect(hangs).rejects.toMatchObject({
    kind: 'trainer-died',
    message: 'The process that is tested said nothing for 1.5 s.',
  });
  const words: string[] = [];
  await askProcess<Questions, 'slow'>(program, [], 'slow', 1200, {
    ...WORDS,
    patience: 1500,
    onProgress: (_, __, phase) => words.push(phase),
  });
  expect(words).toEqual(['half']);
});
