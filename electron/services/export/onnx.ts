import { gridOf, hasPositions, type ModelConfig, patchesOf, type RunConfig } from '../../../shared/config.ts';
import type { StateDict } from '../../../shared/tensors.ts';
import { relativePositionIndex } from '../../engine/layers/position.ts';
import { sizeOf } from '../../engine/parameters.ts';
import { OnnxGraph } from '../../formats/onnx.ts';
import { exportedSpecs } from './encoder.ts';

/** What the weights of the encoder's graph take, bytes. */
export function onnxWeightBytes(config: Pick<RunConfig, 'model'>): number {
  const index = config.model.position === 'shared-relative-bias' ? 4 * tokensOf(config.model) ** 2 : 0;
  return exportedSpecs(config).reduce((sum, { shape }) => sum + 4 * sizeOf(shape), index);
}

/**
 * The encoder as an ONNX graph, node for node what `encode` of engine/encoder.ts computes, with weights under the published
 * names and in the published layouts (`Gemm` takes `[out, in]` as it is).
 *
 * Input `images` `[batch, 3, side, side]`, normalised. Outputs `tokens` `[batch, 1 + K, dim]` after the last LayerNorm,
 * CLS first; `cls` `[batch, dim]`; `mean` `[batch, dim]`, of the patch tokens.
 */
export function onnxGraph(encoder: StateDict, model: ModelConfig): OnnxGraph {
  const graph = new OnnxGraph();
  const [side, dim, heads, K, n] = [
    model.image_size,
    model.embed_dim,
    model.num_heads,
    patchesOf(model),
    tokensOf(model),
  ];
  for (const [name, tensor] of encoder) {
    if (!/attn\.[qv]_bias$/.test(name)) graph.weight(name, tensor);
  }
  graph.int64('shape.rows', [-1, dim]);
  graph.int64('shape.tokens', [-1, n, dim]);
  graph.int64('shape.heads', [-1, n, 3, heads, dim / heads]);
  for (const i of [0, 1, 2]) graph.int64(`place.${i}`, [i], []);
  graph.scalar('attention.scale', (dim / heads) ** -0.5);
  graph.scalar('gelu.sqrt_half', Math.SQRT1_2);
  graph.scalar('one', 1);
  graph.scalar('half', 0.5);

  const images = graph.input('images', ['batch', 3, side, side], 'RGB, from 0 to 1, less mean, divided by std');
  const position = model.position === 'shared-relative-bias' ? relativePositionBias(graph, model) : null;
  let rows = graph.node('Reshape', 'rows', [embed(graph, images, model), 'shape.rows']); // [batch * n, dim]
  for (let i = 0; i < model.depth; i++) {
    const at = `blocks.${i}.`;
    const add = (branch: string, gamma: string) => {
      const scaled = encoder.has(at + gamma) ? graph.node('Mul', `${branch}.scaled`, [branch, at + gamma]) : branch;
      return graph.node('Add', `${branch}.residual`, [rows, scaled]);
    };
    graph.weight(`${at}attn.qkv.bias`, { shape: [3 * dim], data: qkvBias(encoder, at, dim) });
    rows = add(attention(graph, layerNorm(graph, rows, `${at}norm1`, model), at, position), 'gamma_1');
    rows = add(mlp(graph, layerNorm(graph, rows, `${at}norm2`, model), at), 'gamma_2');
  }
  graph.node('Reshape', 'tokens', [layerNorm(graph, rows, 'norm', model), 'shape.tokens']);
  graph.node('Gather', 'cls', ['tokens', 'place.0'], { axis: 1 });
  const [from, to, axis] = [
    graph.int64('patches.from', [1]),
    graph.int64('patches.to', [n]),
    graph.int64('axis.1', [1]),
  ];
  const patches = graph.node('Slice', 'patches', ['tokens', from, to, axis]);
  graph.node('ReduceMean', 'mean', [patches], { axes: [1], keepdims: 0 });
  graph.output('tokens', ['batch', n, dim], `after the last LayerNorm: CLS, then ${K} patches, row by row`);
  graph.output('cls', ['batch', dim], 'the CLS token');
  graph.output('mean', ['batch', dim], 'mean of the patch tokens');
  return graph;
}

/** CLS and patches. */
const tokensOf = (model: ModelConfig) => patchesOf(model) + 1;

/** Patches, CLS before them, and their positions where those are absolute: `[batch, n, dim]`. */
function embed(graph: OnnxGraph, images: string, model: ModelConfig): string {
  const p = model.patch_size;
  const kernel = ['patch_embed.proj.weight', 'patch_embed.proj.bias'];
  const cells = graph.node('Conv', 'patch_embed', [images, ...kernel], { kernel_shape: [p, p], strides: [p, p] });
  graph.int64('shape.channels', [0, model.embed_dim, patchesOf(model)]); // 0: as it is
  const channels = graph.node('Reshape', 'patch_embed.channels', [cells, 'shape.channels']); // [batch, dim, K]
  const patches = graph.node('Transpose', 'patch_embed.patches', [channels], { perm: [0, 2, 1] });
  const batch = graph.node('Shape', 'batch', [images], { start: 0, end: 1 });
  graph.int64('shape.cls', [1, model.embed_dim]);
  const shape = graph.node('Concat', 'cls.shape', [batch, 'shape.cls'], { axis: 0 });
  const cls = graph.node('Expand', 'cls.batch', ['cls_token', shape]);
  const tokens = graph.node('Concat', 'embedded', [cls, patches], { axis: 1 });
  return hasPositions(model) ? graph.node('Add', 'embedded.positions', [tokens, 'pos_embed']) : tokens;
}

/** The bias that every block adds to its attention logits: `[1, heads, n, n]`. */
function relativePositionBias(graph: OnnxGraph, model: ModelConfig): string {
  const n = tokensOf(model);
  const index = graph.int32('rel_pos_bias.index', relativePositionIndex(gridOf(model)), [n, n]);
  const table = 'rel_pos_bias.relative_position_bias_table';
  const rows = graph.node('Gather', 'rel_pos_bias.rows', [table, index], { axis: 0 }); // [n, n, heads]
  const byHead = graph.node('Transpose', 'rel_pos_bias.heads', [rows], { perm: [2, 0, 1] });
  return graph.node('Unsqueeze', 'rel_pos_bias', [byHead, graph.int64('axis.0', [0])]);
}

const layerNorm = (graph: OnnxGraph, x: string, name: string, model: ModelConfig): string =>
  graph.node('LayerNormalization', name, [x, `${name}.weight`, `${name}.bias`], {
    axis: -1,
    epsilon: { float: model.layer_norm_eps },
  });

/** x W^T + b: `[rows, in]` by the published `[out, in]`. */
const linear = (graph: OnnxGraph, x: string, name: string): string =>
  graph.node('Gemm', name, [x, `${name}.weight`, `${name}.bias`], { transB: 1 });

/** The biases of queries, keys and values as one; keys have none (BEiT). */
function qkvBias(encoder: StateDict, at: string, dim: number): Float32Array {
  const bias = new Float32Array(3 * dim);
  bias.set(encoder.get(`${at}attn.q_bias`)!.data, 0);
  bias.set(encoder.get(`${at}attn.v_bias`)!.data, 2 * dim);
  return bias;
}

/** Multi-head self-attention: `[batch * n, dim]` to the same. */
function attention(graph: OnnxGraph, x: string, at: string, position: string | null): string {
  const name = (part: string) => `${at}attn.${part}`;
  const qkv = graph.node('Reshape', name('qkv.heads'), [linear(graph, x, name('qkv')), 'shape.heads']);
  const split = graph.node('Transpose', name('qkv.split'), [qkv], { perm: [2, 0, 3, 1, 4] }); // [3, batch, heads, n, width]
  const [q, k, v] = ['q', 'k', 'v'].map((part, i) =>
    graph.node('Gather', name(part), [split, `place.${i}`], { axis: 0 }),
  ) as [string, string, string];
  const scaled = graph.node('Mul', name('q.scaled'), [q, 'attention.scale']);
  const turned = graph.node('Transpose', name('k.turned'), [k], { perm: [0, 1, 3, 2] });
  let logits = graph.node('MatMul', name('logits'), [scaled, turned]); // [batch, heads, n, n]
  if (position) logits = graph.node('Add', name('logits.biased'), [logits, position]);
  const probabilities = graph.node('Softmax', name('probabilities'), [logits], { axis: -1 });
  const mixed = graph.node('MatMul', name('mixed'), [probabilities, v]); // [batch, heads, n, width]
  const turnedBack = graph.node('Transpose', name('mixed.tokens'), [mixed], { perm: [0, 2, 1, 3] });
  const rows = graph.node('Reshape', name('mixed.rows'), [turnedBack, 'shape.rows']);
  return linear(graph, rows, name('proj'));
}

/** With the exact GELU, x Phi(x): the operator set has no node of its own for it before version 20. */
function mlp(graph: OnnxGraph, x: string, at: string): string {
  const name = (part: string) => `${at}mlp.${part}`;
  const hidden = linear(graph, x, name('fc1'));
  const scaled = graph.node('Mul', name('gelu.scaled'), [hidden, 'gelu.sqrt_half']);
  const erf = graph.node('Erf', name('gelu.erf'), [scaled]);
  const twice = graph.node('Add', name('gelu.twice'), [erf, 'one']);
  const gated = graph.node('Mul', name('gelu.gated'), [hidden, twice]);
  return linear(graph, graph.node('Mul', name('gelu'), [gated, 'half']), name('fc2'));
}
