import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { arch, availableParallelism, cpus, freemem, platform, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import type { BackendChoice } from '../../shared/backends.ts';
import { type BackendInfo, loadBackend } from '../trainer/backend.ts';
import { backendChoice } from '../trainer/choice.ts';
import { cacheFolder } from '../trainer/runtime-folder.ts';
import { trialRows } from './backend-trial.ts';

/** What the program runs on, and what would make it faster. Sizes are bytes. */
export interface DoctorReport {
  versions: Record<string, string>;
  platform: string;
  cpu: { model: string; cores: number };
  memory: { total: number; free: number };
  /** As `nvidia-smi` names them; none where there is no driver. */
  gpus: string[];
  backend: BackendInfo;
  /** What was chosen, and what the last trial found. */
  choice: BackendChoice;
  folders: { name: string; path: string; bytes: number; free: number }[];
  advice: string[];
}

/** Looks at the machine and sets up the backend. @param home where datasets and runs are kept */
export async function doctor(home: string): Promise<DoctorReport> {
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
  };
  return { ...report, advice: adviceFor(report) };
}

function adviceFor({ backend, choice, gpus, memory }: Omit<DoctorReport, 'advice'>): string[] {
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
    `Chosen: ${use}. Last trial, ${new Date(trial.at).toLocaleString()} (${holds}):`,
    ...trialRows(trial).map((row) => `  ${row}`),
  ];
}

const gb = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;

export function formatDoctor(report: DoctorReport): string {
  const { backend } = report;
  return [
    `Computes with ${backend.name}${backend.variant ? ` (${backend.variant})` : ''} on ${backend.device}.`,
    `  why: ${backend.why}`,
    ...backend.warnings.map((w) => `  warning: ${w}`),
    ...choiceWords(report.choice),
    `Machine: ${report.platform}, ${report.cpu.model}, ${report.cpu.cores} cores, ${gb(report.memory.total)} memory (${gb(report.memory.free)} free)`,
    `GPUs: ${report.gpus.length > 0 ? report.gpus.join('; ') : 'none found'}`,
    `Versions: ${Object.entries(report.versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`,
    ...report.folders.map((f) => `${f.name} folder: ${f.path}, ${gb(f.bytes)} used, ${gb(f.free)} free`),
    ...report.advice.map((a) => `Faster: ${a}`),
  ].join('\n');
}
