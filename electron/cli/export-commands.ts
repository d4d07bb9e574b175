import type { Command } from 'commander';
import { AppError } from '../../shared/errors.ts';
import { bytes } from '../../shared/words.ts';
import { type Target, targetOf } from '../files/outputs.ts';
import { ENDINGS, exportEncoder } from '../services/export/export.ts';
import { withStore } from './context.ts';
import { findCheckpoint } from './model-commands.ts';
import { OutputOption } from './output-option.ts';

/** One of a few words. @throws AppError bad-input */
function oneOf<T extends string>(option: string, value: unknown, words: readonly T[]): T {
  const found = words.find((word) => word === value);
  if (found) return found;
  throw new AppError('bad-input', `${option} is ${words.join(' or ')}, not "${value}".`);
}

/** export. */
export function addExportCommands(program: Command): void {
  program
    .command('export')
    .description("write a checkpoint's encoder for other programs, with a model card beside it")
    .argument('<checkpoint>', 'number of a checkpoint, or run:NAME for the latest of a run')
    .requiredOption('--format <format>', 'timm (a .safetensors file) or onnx')
    .addOption(
      new OutputOption('--out <file>', 'file to write; the card is FILE.md, its curve FILE.svg', {
        endings: Object.values(ENDINGS),
        also: (file, { card }) => (card === false ? [] : [`${file}.md`]),
      }).makeOptionMandatory(),
    )
    .option('--network <which>', 'student or teacher', 'student')
    .option('--external-data', 'ONNX: weights to FILE.data beside the graph, as is always done above 2 GB')
    .option('--no-card', 'write the weights alone')
    .action(
      withStore<[string]>(({ out, store }, options, checkpoint) => {
        const network = oneOf('--network', options.network, ['student', 'teacher']);
        const format = oneOf('--format', options.format, ['timm', 'onnx']);
        const { path: file, replace } = targetOf(options.out as Target);
        const { tensors, files } = exportEncoder(store, {
          checkpoint: findCheckpoint(store, checkpoint),
          network,
          format,
          file,
          card: options.card !== false,
          externalData: options.externalData === true,
          replace,
        });
        const words = files.map(({ path, bytes: size }) => `${path}: ${bytes(size)}`);
        out.result({ tensors, files }, words.join('\n'));
      }),
    );
}
