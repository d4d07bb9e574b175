import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { arch, availableParallelism, cpus, freemem, platform, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import type { BackendChoice } from '../../../shared/backends.ts';
import type { DatabaseReport, DoctorReport, Unreadable } from '../../../shared/contract/machine.ts';
import { toReport } from '../../../shared/errors.ts';
import { bytes, dayAndTime, plural } from '../../../shared/words.ts';
import { loadBackend } from '../../runtime/backend.ts';
import { backendChoice } from '../../runtime/choice.ts';
import { cacheFolder } from '../../runtime/runtime-folder.ts';
import { notedFindings, noteFindings, quickCheck } from '../../store/check.ts';
import { databaseIn } from '../../store/home.ts';
import { Store } from '../../store/store.ts';
import { trialRows } from './backend-trial.ts';

export interface DoctorOptions {
  /** Reads all of the database: its structure, and every tensor. */
  readAll?: boolean;
  onProgress?: (done: number, total: number, phase: string) => void;
}

/** Rows of a column that are named; a run has one for each step. */
const MOST_NAMED = 5;

/** Looks at the machine and sets up the backend. @param home where datasets and runs are kept */
export async function doctor(home: string, options: DoctorOptions = {}): Promise<DoctorReport> {
  const database = databaseReport(databaseIn(home), options);
  const backend = await loadBackend();
  const gpus = findGpus();
  const folders = [
    { name: 'data', path: home },
    { name: 'cache', path: cacheFolder() },
  ].map(({ name, path }) => ({ name, path, bytes: sizeOfFolder(path), free: freeAt(path) }));
  const report = {
    versions: { node: process.versions.node, ...backend.versions },
    platform: `${platform()} ${arch()}`,
    cpu: { model: cpus()[0]?.model ?? 'unknown', cores: availableParallelism() },
    memory: { total: totalmem(), free: freemem() },
    gpus,
    backend,
    choice: backendChoice(),
    folders,
    database,
  };
  return { ...report, advice: adviceFor(report) };
}

function databaseReport(path: string, { readAll = false, onProgress }: DoctorOptions): DatabaseReport | null {
  if (!existsSync(path)) return null;
  const report: DatabaseReport = {
    path,
    bytes: statSync(path).size,
    found: null,
    checkpoints: null,
    rows: null,
    error: null,
  };
  try {
    if (readAll) {
      onProgress?.(0, 0, 'structure of the database');
      noteFindings(path, quickCheck(path));
    }
    const noted = notedFindings(path);
    report.found = noted !== null && noted !== 'due' ? noted : readAll ? { at: Date.now(), problems: [] } : null;
    if (readAll) {
      const store = Store.open(path);
      try {
        report.checkpoints = store.checkpoints.check((done, total) => onProgress?.(done, total, 'checkpoints'));
        onProgress?.(0, 0, 'rows of the database');
        report.rows = unreadableRows(store);
      } finally {
        store.close();
      }
    }
  } catch (error) {
    report.error = toReport(error);
  }
  return report;
}

function unreadableRows(store: Store): Unreadable[] {
  const columns = new Map<string, Unreadable>();
  for (const error of store.unreadable()) {
    const { column } = error;
    const known = columns.get(column) ?? { column, rows: 0, first: [] };
    columns.set(column, known);
    if (known.rows++ < MOST_NAMED) known.first.push(error.toJSON());
  }
  return [...columns.values()];
}

function rowsWords(rows: readonly Unreadable[]): string[] {
  if (rows.length === 0) return ['  its rows are as this program writes them'];
  return rows.flatMap(({ column, rows: count, first }) => [
    ...first.flatMap(({ what, why, next }) => [`  DAMAGED: ${what} ${why}`, `    ${next}`]),
    ...(count > first.length ? [`  DAMAGED: ${plural(count - first.length, 'more row')} in column ${column}`] : []),
  ]);
}

function databaseWords({ path, bytes: size, found, checkpoints, rows, error }: DatabaseReport): string[] {
  const lines = [`Database: ${path}, ${bytes(size)}`];
  if (found && found.problems.length > 0)
    lines.push(
      '  DAMAGED: its structure is not whole:',
      ...found.problems.map((problem) => `    ${problem}`),
      '  Export what can still be read. Then restore it from a copy, or name another home folder.',
    );
  else if (found) lines.push('  its structure is sound');
  if (error) lines.push(...[error.what, error.why, error.next].filter(Boolean).map((line) => `  ${line}`));
  if (rows) lines.push(...rowsWords(rows));
  if (!checkpoints) return lines;
  const { sound, unknown, damaged } = checkpoints;
  for (const { checkpoint, run, step, why } of damaged)
    lines.push(`  DAMAGED: checkpoint ${checkpoint} of run "${run}" (step ${step}): ${why}`);
  if (damaged.length > 0)
    lines.push('  `conmim delete-checkpoint NUMBER` deletes one, and its run goes on from the one before.');
  lines.push(
    `  ${plural(sound, 'tensor')} of checkpoints ${sound === 1 ? 'is as it was' : 'are as they were'} written`,
  );
  if (unknown > 0)
    lines.push(
      `  ${unknown} tensors are of an older version, which kept no checksums: damage in these is not noticed. Runs that go on write new ones.`,
    );
  return lines;
}

function adviceFor({ backend, choice, gpus, memory }: Omit<DoctorReport, 'advice' | 'database'>): string[] {
  const advice: string[] = [];
  if (!choice.trial || choice.changed.length > 0)
    advice.push(
      'A trial of ten seconds finds the fastest backend that works here: `conmim doctor --trial`, or Backends on the Runtime screen.',
    );
  if (backend.name === 'wasm')
    advice.push('TensorFlow computes some fifteen times faster than this backend: `npm run setup` installs it.');
  if (gpus.length > 0 && backend.variant !== 'cuda')
    advice.push(
      'There is an NVIDIA GPU, and the variant in use computes on the CPU: `npm run setup -- --variant cuda`.',
    );
  if (gpus.length === 0) advice.push('No NVIDIA GPU was found; with one, the cuda variant would be many times faster.');
  if (memory.free < 2e9)
    advice.push('Less than 2 GB of memory are free: close other programs, or lower train.batch_size.');
  return advice;
}

function findGpus(): string[] {
  try {
    return execFileSync('nvidia-smi', ['--query-gpu=name,memory.total', '--format=csv,noheader'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 10_000,
    })
      .split('\n')
      .filter(Boolean);
  } catch {
    return []; // no driver
  }
}

function sizeOfFolder(path: string): number {
  if (!existsSync(path)) return 0;
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((e) => e.isFile())
    .reduce((sum, e) => sum + statSync(join(e.parentPath, e.name)).size, 0);
}

/** Bytes that are free on the disk where a folder is, or will be made. */
function freeAt(path: string): number {
  if (!existsSync(path)) return dirname(path) === path ? 0 : freeAt(dirname(path));
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}

function choiceWords({ use, trial, changed }: BackendChoice): string[] {
  if (!trial) return [`Chosen: ${use}. No trial was made here.`];
  const holds = changed.length > 0 ? `holds no more, changed: ${changed.join(', ')}` : 'holds';
  return [
    `Chosen: ${use}. Last trial, ${dayAndTime(trial.at)} (${holds}):`,
    ...trialRows(trial).map((row) => `  ${row}`),
  ];
}

export function formatDoctor(report: DoctorReport): string {
  const { backend } = report;
  return [
    `Computes with ${backend.name}${backend.variant ? ` (${backend.variant})` : ''} on ${backend.device}.`,
    `  why: ${backend.why}`,
    ...backend.warnings.map((w) => `  warning: ${w}`),
    ...choiceWords(report.choice),
    `Machine: ${report.platform}, ${report.cpu.model}, ${report.cpu.cores} cores, ${bytes(report.memory.total)} memory (${bytes(report.memory.free)} free)`,
    `GPUs: ${report.gpus.length > 0 ? report.gpus.join('; ') : 'none found'}`,
    `Versions: ${Object.entries(report.versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`,
    ...report.folders.map((f) => `${f.name} folder: ${f.path}, ${bytes(f.bytes)} used, ${bytes(f.free)} free`),
    ...(report.database ? databaseWords(report.database) : []),
    ...report.advice.map((a) => `Faster: ${a}`),
  ].join('\n');
}
