import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, availableParallelism, cpus, hostname, platform, release } from 'node:os';
import { basename, join } from 'node:path';
import { type RuntimeChoice, runtimeChoice } from './runtime-folder.ts';

/** What a trial's figures hold for. Any difference asks for a new one. Cheap enough for every start: no process is started. */
export type MachineFacts = Record<'machine' | 'processor' | 'graphics' | 'TensorFlow' | 'packages', string>;

const require = createRequire(import.meta.url);
const PCI_DISPLAY = '0x03';

/** @param runtime the TensorFlow that is in use */
export function machineFacts(runtime: RuntimeChoice = runtimeChoice()): MachineFacts {
  return {
    machine: `${hostname()}, ${platform()} ${arch()} ${release()}`,
    processor: `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores`,
    graphics: graphics().join('; ') || 'none known',
    TensorFlow: runtime.state === 'ready' ? `${runtime.version} ${runtime.variant}, ${runtime.folder}` : 'absent',
    packages: ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-wasm', 'webgpu']
      .map((name) => `${name} ${packageVersion(name)}`)
      .join(', '),
  };
}

/** Version of an installed package, as its own file says. */
export const packageVersion = (name: string): string =>
  (require(`${name}/package.json`) as { version: string }).version;

/** Whether the processor multiplies bf16 itself (`avx512_bf16`, `amx_bf16`, ARM's `bf16`); where Linux does not say: yes. */
export function hasBf16(facts = read('/proc/cpuinfo')): boolean {
  return facts === '' || /^(flags|Features)\b.*bf16\b/m.test(facts);
}

/**
 * Graphics cards and their drivers, as Linux tells them in files: cards by their PCI numbers, NVIDIA's driver by its
 * version, the other drivers by their Vulkan manifests. Other systems have no such files: there the system's release
 * stands for its drivers.
 */
function graphics(): string[] {
  if (platform() !== 'linux') return [];
  const cards = list('/sys/bus/pci/devices')
    .filter((device) => read(join(device, 'class')).startsWith(PCI_DISPLAY))
    .map((device) => `${read(join(device, 'vendor'))}:${read(join(device, 'device'))} ${driverOf(device)}`);
  const nvidia = /Kernel Module[^\d]*([\d.]+)/.exec(read('/proc/driver/nvidia/version'))?.[1];
  const manifests = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d'].flatMap(list).map((file) => {
    const { size, mtimeMs } = statSync(file);
    return `${basename(file)} ${size} ${Math.round(mtimeMs)}`;
  });
  return [...cards, ...(nvidia ? [`NVIDIA driver ${nvidia}`] : []), ...manifests];
}

/** Full paths, in a fixed order; none where there is no such folder. */
function list(folder: string): string[] {
  try {
    return readdirSync(folder)
      .sort()
      .map((name) => join(folder, name));
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}

function driverOf(device: string): string {
  try {
    return basename(readlinkSync(join(device, 'driver')));
  } catch {
    return 'no driver';
  }
}
