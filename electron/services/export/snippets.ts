import { patchesOf, type RunConfig } from '../../../shared/config.ts';
import type { ExportFormat } from '../../../shared/contract/export.ts';
import { timmExpression } from './timm.ts';

/** Python that loads an exported file, and defines `encode`, from images to tokens. Tests run it as it stands. */
export function pythonSnippet(
  format: ExportFormat,
  { model, augment }: Pick<RunConfig, 'model' | 'augment'>,
  file: string,
): string {
  const name = JSON.stringify(file);
  const shapes = `[batch, 3, ${model.image_size}, ${model.image_size}], RGB, 0 to 1 -> [batch, ${1 + patchesOf(model)}, ${model.embed_dim}], CLS first`;
  const mean = `[${augment.mean.join(', ')}]`;
  const std = `[${augment.std.join(', ')}]`;
  if (format === 'onnx') {
    return [
      'import numpy as np',
      'import onnxruntime',
      '',
      `session = onnxruntime.InferenceSession(${name})`,
      `mean = np.array(${mean}, np.float32).reshape(1, 3, 1, 1)`,
      `std = np.array(${std}, np.float32).reshape(1, 3, 1, 1)`,
      '',
      `def encode(images):  # ${shapes}`,
      "    tokens, cls, pooled = session.run(['tokens', 'cls', 'mean'], {'images': (images - mean) / std})",
      '    return tokens',
    ].join('\n');
  }
  const expression = timmExpression(model);
  return [
    ...(expression.includes('functools.') ? ['import functools', ''] : []),
    'import timm',
    'import torch',
    'from safetensors.torch import load_file',
    '',
    `model = ${expression}`,
    `model.load_state_dict(load_file(${name}))`,
    'model.eval()',
    `mean = torch.tensor(${mean}).view(1, 3, 1, 1)`,
    `std = torch.tensor(${std}).view(1, 3, 1, 1)`,
    '',
    '@torch.no_grad()',
    `def encode(images):  # ${shapes}`,
    '    return model.fc_norm(model.forward_features((images - mean) / std))',
  ].join('\n');
}
