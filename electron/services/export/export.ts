import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { methodOf } from '../../../methods/index.ts';
import type { Checkpoint } from '../../../shared/checkpoint.ts';
import type { Exported, ExportFormat } from '../../../shared/contract/export.ts';
import { AppError } from '../../../shared/errors.ts';
import type { StateDict } from '../../../shared/tensors.ts';
import { type Replace, writeTogether, writeWhole } from '../../files/files.ts';
import { requireOutput } from '../../files/outputs.ts';
import { VERSION } from '../../files/project.ts';
import { MAX_WEIGHT_BYTES } from '../../formats/onnx.ts';
import { writeSafetensors } from '../../formats/safetensors.ts';
import type { Store } from '../../store/store.ts';
import type { ExportAsked } from '../ground/jobs.ts';
import { modelCard } from './card.ts';
import { curveSvg } from './curve.ts';
import { encoderTensors } from './encoder.ts';
import { onnxGraph, onnxWeightBytes } from './onnx.ts';
import { timmExpression, timmTensors } from './timm.ts';
import { CONFIG_KEY, configWords } from './weights-file.ts';

export const ENDINGS: Record<ExportFormat, string> = { timm: '.safetensors', onnx: '.onnx' };

/**
 * Writes the encoder of one network of a checkpoint for other programs. Each file appears whole or not at all.
 * @param onnxLimit what the weights in an ONNX file of one piece may take, bytes
 * @throws AppError not-found; conflict where a file is there already; bad-input for another ending, weights beside what
 *   is no ONNX file, or a place that cannot be written
 */
export function exportEncoder(store: Store, options: ExportAsked, onnxLimit = MAX_WEIGHT_BYTES): Exported {
  const { network, format, file, card, replace = false } = options;
  const checkpoint = store.checkpoints.get(options.checkpoint);
  const { externalData = false } = options;
  if (externalData && format !== 'onnx') {
    throw new AppError('bad-input', 'Only ONNX has weights in a file of their own; safetensors have no limit.');
  }
  const isApart = format === 'onnx' && (externalData || onnxWeightBytes(checkpoint.config) > onnxLimit);
  const weights = isApart ? `${file}.data` : null;
  const svg = card ? curveSvg(store, checkpoint) : null;
  const paths = [file, ...(weights ? [weights] : []), ...(card ? [`${file}.md`] : []), ...(svg ? [`${file}.svg`] : [])];
  requireOutput(file, { endings: [ENDINGS[format]], beside: paths.slice(1), replace });

  const encoder = encoderTensors(checkpoint.config, store.checkpoints.load(checkpoint.id, network));
  const tensors =
    format === 'timm'
      ? writeTimm(file, encoder, checkpoint, network, { replace })
      : writeOnnx({ file, weights }, encoder, checkpoint, network, { replace });
  if (svg) writeWhole(`${file}.svg`, [Buffer.from(svg)], { replace });
  if (card) {
    const curve = svg && basename(`${file}.svg`);
    const names = { file: basename(file), weights: weights && basename(weights), curve };
    const text = modelCard(store, { checkpoint, network, format, ...names });
    writeWhole(`${file}.md`, [Buffer.from(text)], { replace });
  }
  return { tensors, files: paths.map((path) => ({ path, bytes: statSync(path).size })) };
}

function writeTimm(file: string, encoder: StateDict, checkpoint: Checkpoint, network: string, how: Replace): number {
  const { model } = checkpoint.config;
  const tensors = timmTensors(encoder, model);
  const said = {
    format: 'pt',
    timm: timmExpression(model),
    ...about(checkpoint, network),
    [CONFIG_KEY]: configWords(checkpoint.config),
  };
  writeSafetensors(file, tensors, said, how);
  return tensors.size;
}

/** @param weights where they go; null: into `file` */
function writeOnnx(
  { file, weights }: { file: string; weights: string | null },
  encoder: StateDict,
  checkpoint: Checkpoint,
  network: string,
  how: Replace,
): number {
  const graph = onnxGraph(encoder, checkpoint.config.model);
  const { title, paper } = methodOf(checkpoint.config);
  const said = {
    name: 'encoder',
    words: `Encoder of a ${network} that was pretrained by ${title} (arXiv ${paper.arxiv})`,
    version: VERSION,
    metadata: about(checkpoint, network),
  };
  if (weights === null) {
    writeWhole(file, [graph.encode(said)], how);
  } else {
    const { model, data } = graph.encodeOutside(said, basename(weights));
    const files = [
      { path: weights, chunks: data },
      { path: file, chunks: [model] },
    ];
    writeTogether(files, how);
  }
  return encoder.size;
}

/** What a file says of itself, as text under keys. */
function about({ config, step }: Checkpoint, network: string): Record<string, string> {
  const { model, augment } = config;
  return {
    image_size: String(model.image_size),
    patch_size: String(model.patch_size),
    mean: augment.mean.join(', '),
    std: augment.std.join(', '),
    network,
    step: String(step),
  };
}
