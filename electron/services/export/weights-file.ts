import { extname } from 'node:path';
import { METHODS } from '../../../methods/index.ts';
import { publishedOf } from '../../../methods/published.ts';
import type { RunConfig } from '../../../shared/config.ts';
import { AppError } from '../../../shared/errors.ts';
import type { StateDict } from '../../../shared/tensors.ts';
import { readPth } from '../../formats/pth.ts';
import { readSafetensors } from '../../formats/safetensors.ts';
import { fromTimm } from './timm.ts';

/** Metadata key under which an exported file says its configuration: method, model, normalisation, the method's sections. */
export const CONFIG_KEY = 'conmim.config';

/** What a file says of its configuration. @param sections beside those that every encoder has */
export function configWords(config: RunConfig, sections: readonly string[] = []): string {
  const { method, model, augment } = config;
  const own = sections.map((section) => [section, (config as unknown as Record<string, unknown>)[section]]);
  const { mean, std } = augment;
  return JSON.stringify({ method, model, augment: { mean, std }, ...Object.fromEntries(own) });
}

/** What a file says of its configuration: not checked yet. */
export type Said = Record<string, Record<string, unknown>>;

/**
 * A file's tensors under its method's published names, without the wrapper of distributed training, and without timm's.
 * @returns `said`: its configuration, null where it says none; `notes`: what of it was not read
 * @throws AppError bad-file, bad-input for another ending
 */
export async function readWeights(file: string): Promise<{ tensors: StateDict; said: Said | null; notes: string[] }> {
  const { tensors, metadata, notes } = await readNamed(file);
  return { tensors: fromTimm(withoutWrapper(tensors)), said: saidIn(metadata), notes };
}

/** The configuration that a file says; null where it says none. @throws AppError bad-file */
function saidIn(metadata: Record<string, string>): Said | null {
  const text = metadata[CONFIG_KEY];
  if (!text) return null;
  try {
    return Object(JSON.parse(text));
  } catch (error) {
    throw new AppError('bad-file', 'The configuration inside the file is not JSON.', '', '', { cause: error });
  }
}

async function readNamed(
  file: string,
): Promise<{ tensors: StateDict; metadata: Record<string, string>; notes: string[] }> {
  switch (extname(file).toLowerCase()) {
    case '.safetensors':
      return { ...readSafetensors(file), notes: [] };
    case '.pth':
    case '.pt':
    case '.bin': {
      const places = METHODS.flatMap((method) => publishedOf(method).keys);
      const { tensors, ignored } = await readPth(file, places);
      return { tensors, metadata: {}, notes: ignored.length > 0 ? [`Not read: ${ignored.join(', ')}.`] : [] };
    }
    default:
      throw new AppError(
        'bad-input',
        `${file} is neither .safetensors nor .pth.`,
        '',
        'Name a file with one of these endings.',
      );
  }
}

/** Names without the `module.` that PyTorch's DistributedDataParallel puts before all of them. */
function withoutWrapper(tensors: StateDict): StateDict {
  const prefix = 'module.';
  if (![...tensors.keys()].every((name) => name.startsWith(prefix))) return tensors;
  return new Map([...tensors].map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}
