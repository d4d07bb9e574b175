import * as tf from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { hostCopy, hostTidy } from '../../electron/engine/host.ts';
import {
  commitment,
  countsOf,
  followByMeans,
  followOnSphere,
  nearest,
  spreadCodes,
  straightThrough,
} from '../../electron/engine/layers/quantize.ts';
import { Tokens, unit } from '../../electron/engine/layers/tokens.ts';
import { Network, type NetworkSpec } from '../../electron/engine/network.ts';
import { plainEncoder } from '../../electron/engine/parameters.ts';
import {
  channelsFirst,
  channelsLast,
  type OwnReplay,
  partOf,
  type ReplayFolder,
} from '../../electron/engine/replay.ts';
import { differentiate, record, Value } from '../../electron/engine/tape.ts';
import { Trainer } from '../../electron/engine/trainer.ts';
import { Gradients } from '../../electron/engine/weights.ts';
import { type ModelConfig, modelSchema } from '../../shared/config.ts';
import type { HostTensor, StateDict } from '../../shared/tensors.ts';
import { FEATURES, IDLE, STEPS } from '../tokenizer/network.ts';
import { perceptual } from '../tokenizer/perceptual.ts';
import { encoderOf, shapeOf } from '../tokenizer/shape.ts';
import { CODES } from '../tokenizer/specs.ts';
import { perplexityOf, step, type VQBatch, type VQConfig } from '../tokenizer/step.ts';
import { latentsOf, pictureOf } from '../tokenizer/vq.ts';

const int = () => z.number().int();
const quantizerSchema = z.object({ decay: z.number(), beta: z.number(), steps: z.array(z.unknown()) });
const fixtureSchema = z.object({
  ema: quantizerSchema.extend({ eps: z.number() }),
  norm: quantizerSchema.extend({ kmeans: z.boolean() }),
  features: z.object({
    layer_scale_init: z.number(),
    position: modelSchema.shape.position,
    layer_norm_eps: z.number(),
    image: int(),
    patch: int(),
    dim: int(),
    depth: int(),
    heads: int(),
    taps: z.array(int()),
    last_norm: z.boolean(),
    mean: z.array(z.number()).default([0.485, 0.456, 0.406]),
    std: z.array(z.number()).default([0.229, 0.224, 0.225]),
  }),
  tokenizer: z.object({
    image_size: int(),
    patch_size: int(),
    layer_norm_eps: z.number(),
    dim: int(),
    depth: int(),
    heads: int(),
    decoder_depth: int(),
    codes: int(),
    code_dim: int(),
    decay: z.number(),
    beta: z.number(),
    kmeans: z.boolean(),
    perceptual: z.number(),
    clip: z.number().nullable(),
    optimizer: z.object({ betas: z.tuple([z.number(), z.number()]), eps: z.number() }),
    steps: z.array(z.object({ lr: z.number(), weight_decay: z.number() })),
  }),
});
type Fixture = z.output<typeof fixtureSchema>;

/** Of no encoder: a network of buffers alone. */
const NONE = encoderOf(
  shapeOf({
    model: { image_size: 2, patch_size: 1, embed_dim: 4, depth: 1, num_heads: 1, mlp_ratio: 1 } as ModelConfig,
    codebook: { codes: 2, width: 1 },
    decoder: { depth: 1 },
  }),
);

/** Codes after a step, gradients and ids of either quantizer, on latents that are given. */
function quantizer(folder: ReplayFolder, kind: 'ema' | 'norm', said: Fixture) {
  const { beta, steps, decay } = said[kind];
  const init = folder.load(`${kind}.init`);
  const buffers = [...init].map(([name, { shape }]) => ({ name, shape, value: 0 }));
  const network = new Network({ model: NONE, parameters: [], buffers } satisfies NetworkSpec, init);
  const found = steps.map((_, i) => {
    const file = folder.load(`${kind}.step${i}`);
    const part = partOf(file, `${kind}.step${i}`);
    const [z, upstream] = [part('z'), part('upstream')];
    const [batch, width, h, w] = z.shape as [number, number, number, number];
    const last = [batch, h, w, width] as const;
    const rowsOf = (of: HostTensor) => tf.tensor2d(channelsLast(of), [batch * h * w, width]);
    let dz: HostTensor | null = null;
    let quantized: HostTensor | null = null;
    let ids = new Int32Array();
    let before: tf.Tensor2D | null = null;
    const gradients = new Gradients();
    const { near } = differentiate(gradients, 1, () => {
      const leaf = record(new Tokens(rowsOf(z), batch), (dleaf) => {
        dz = channelsFirst({ shape: [...last], data: hostCopy(dleaf) });
        dleaf.dispose();
      });
      const rows = kind === 'norm' ? unit(leaf) : leaf;
      if (kind === 'norm' && said.norm.kmeans && i === 0) startOfNorm(folder, network, rows.tensor);
      before = network.buffer('embedding.weight').clone() as tf.Tensor2D;
      ids = nearest(rows.tensor, before) as Int32Array<ArrayBuffer>;
      const q = straightThrough(rows, ids, before);
      const c = commitment(rows, ids, before, beta);
      quantized = channelsFirst({ shape: [...last], data: hostCopy(q.tensor) });
      if (kind === 'ema')
        followByMeans(network, 'embedding', rows.tensor, ids, said.ema as { decay: number; eps: number });
      else followOnSphere(network, { codes: 'embedding.weight', counts: 'cluster_size' }, rows.tensor, ids, decay);
      const near = c.tensor.dataSync()[0]!;
      const loss = record(new Value(tf.scalar(near)), (dloss) => {
        q.addGradient(rowsOf(upstream));
        c.addGradient(dloss);
      });
      return { loss, near };
    });
    before!.dispose();
    const codes = network.get('embedding.weight')!;
    folder.write(
      `${kind}.step${i}`,
      new Map([
        ['z', z],
        ['upstream', upstream],
        ['quantized', quantized!],
        ['ids', { shape: [batch, h, w], data: Float32Array.from(ids) }],
        ['dz', dz!],
        ['codebook_after', codes],
      ]),
    );
    const counts = countsOf(ids, codes.shape[0]!);
    const lengths = Array.from({ length: codes.shape[0]! }, (_, v) =>
      Math.hypot(...codes.data.subarray(v * width, (v + 1) * width)),
    );
    return {
      commitment: near,
      perplexity: kind === 'ema' ? perplexityOf(counts) : null,
      largest_code: Math.max(...lengths),
    };
  });
  folder.write(`${kind}.final`, new Map([...init, ...network.tensors()]));
  network.dispose();
  return { steps: found };
}

function startOfNorm(folder: ReplayFolder, network: Network, rows: tf.Tensor2D): void {
  const picked = partOf(folder.load('norm.kmeans'), 'norm.kmeans')('picked');
  const { codes, counts } = spreadCodes(rows, Int32Array.from(picked.data));
  network.updateBuffer('embedding.weight', () => codes.clone());
  // What beit2 notes of its start, and does not read again.
  if (network.findBuffer('embedding.cluster_size'))
    network.updateBuffer('embedding.cluster_size', () => tf.tensor1d(counts));
  if (network.findBuffer('embedding.initted')) network.updateBuffer('embedding.initted', (old) => tf.onesLike(old));
  folder.write(
    'norm.kmeans',
    new Map([
      ['picked', picked],
      ['centres', { shape: codes.shape, data: hostCopy(codes) }],
      ['sizes', { shape: [counts.length], data: counts }],
    ]),
  );
  codes.dispose();
}

const featureModel = ({ features: of }: Fixture): ModelConfig => ({
  image_size: of.image,
  patch_size: of.patch,
  embed_dim: of.dim,
  depth: of.depth,
  num_heads: of.heads,
  mlp_ratio: 4,
  position: of.position,
  layer_scale_init: of.layer_scale_init,
  layer_norm_eps: of.layer_norm_eps,
  init_std: 0.02,
});

/** How differently the frozen network sees two pictures, and the gradient that reaches the second. */
function perceptualTerm(folder: ReplayFolder, said: Fixture) {
  const { taps, last_norm: lastNorm, mean, std } = said.features;
  const model = featureModel(said);
  const network = new Network({ model, ...plainEncoder(model) }, folder.load('features.init'));
  const part = partOf(folder.load('perceptual'), 'perceptual');
  const [image, reconstruction] = [part('image'), part('reconstruction')];
  const tensorOf = (of: HostTensor) => {
    const [batch, channels, h, w] = of.shape as [number, number, number, number];
    return tf.tensor4d(channelsLast(of), [batch, h, w, channels]);
  };
  const truth = tensorOf(image);
  let gradient: HostTensor | null = null;
  const none = new Gradients(plainEncoder(model).parameters.map((spec) => ({ ...spec, frozenFor: Infinity })));
  const { loss, terms } = differentiate(none, 1, () => {
    const drawn = record(new Value(tensorOf(reconstruction)), (d) => {
      gradient = channelsFirst({ shape: d.shape, data: hostCopy(d) });
      d.dispose();
    });
    return perceptual(network, truth, drawn, { taps, lastNorm, mean, std });
  });
  truth.dispose();
  network.dispose();
  folder.write('perceptual', new Map([['image', image], ['reconstruction', reconstruction], ['gradient', gradient!]])); // biome-ignore format: pairs
  return { loss, terms };
}

/** Names of beit2 as this engine has them, and back. */
const toOurs = (name: string) => name.replace(/^encoder\.fc_norm\./, 'norm.').replace(/^encoder\./, '');
const toTheirs = (name: string) =>
  /^(decoder|encode_task_layer|decode_task_layer|quantize)\./.test(name)
    ? name
    : `encoder.${name.replace(/^norm\./, 'fc_norm.')}`;
const OWN = new Set([IDLE, STEPS]);
const written = (state: StateDict): StateDict =>
  new Map(
    [...state]
      .filter(([name]) => !name.startsWith(FEATURES) && !OWN.has(name))
      .map(([name, tensor]) => [toTheirs(name), tensor]),
  );

/** Three steps of the tokenizer on ViT blocks, and what it says afterwards. */
function trainTokenizer(folder: ReplayFolder, said: Fixture) {
  const { tokenizer: of, features } = said;
  const model: ModelConfig = {
    image_size: of.image_size,
    patch_size: of.patch_size,
    embed_dim: of.dim,
    depth: of.depth,
    num_heads: of.heads,
    mlp_ratio: 4,
    position: 'absolute',
    layer_scale_init: 0,
    layer_norm_eps: of.layer_norm_eps,
    init_std: 0.02,
  };
  const { layer_norm_eps: _, init_std: __, ...featureSizes } = featureModel(said);
  const config: VQConfig = {
    model,
    codebook: {
      codes: of.codes,
      width: of.code_dim,
      decay: of.decay,
      beta: of.beta,
      revive_after: null,
      revive_share: 0,
    },
    decoder: { depth: of.decoder_depth },
    pixels: { distance: 'absolute' },
    perceptual: {
      ...featureSizes,
      weight: of.perceptual,
      run: null,
      layers: features.taps,
      last_norm: features.last_norm,
      mean: features.mean as [number, number, number],
      std: features.std as [number, number, number],
    },
    optimizer: { ...of.optimizer, clip_grad: of.clip },
  };
  const init = new Map<string, HostTensor>([
    ...[...folder.load('tokenizer.init')].map(([name, tensor]) => [toOurs(name), tensor] as const),
    ...[...folder.load('features.init')].map(([name, tensor]) => [FEATURES + name, tensor] as const),
    [IDLE, { shape: [of.codes], data: new Float32Array(of.codes) }],
    [STEPS, { shape: [], data: Float32Array.of(of.kmeans ? 0 : 1) }],
  ]);
  const picked = of.kmeans ? partOf(folder.load('tokenizer.kmeans'), 'tokenizer.kmeans')('picked') : null;
  const trainer = new Trainer<VQConfig, VQBatch>(step, config, init, init);
  const shape = shapeOf(config);
  const steps = of.steps.map(({ lr, weight_decay }, i) => {
    const file = `tokenizer.batch.step${i}`;
    const images = partOf(folder.load(file), file)('images');
    const shown: StateDict = new Map();
    const { loss, grad_norm, figures } = trainer.step(
      [{ views: { image: channelsLast(images) }, ...(picked && { picked: Int32Array.from(picked.data) }) }],
      { lr, weight_decay, momentum: 0 },
      {
        ...(i === 0 && {
          onGradients: (gradients: StateDict) => folder.write('tokenizer.gradients.step0', written(gradients)),
        }),
        show: (name, tensor) => shown.set(name, { shape: tensor.shape, data: hostCopy(tensor) }),
      },
    );
    const ids = Int32Array.from(shown.get('ids')!.data);
    folder.write(
      file,
      new Map([
        ['images', images],
        ['ids', { shape: [images.shape[0]!, ids.length / images.shape[0]!], data: Float32Array.from(ids) }],
        ['reconstruction', channelsFirst(shown.get('reconstruction')!)],
        ['codebook_after', trainer.state().student.get(CODES)!],
      ]),
    );
    const { pixel, perceptual, commitment } = figures;
    const used = new Set(ids).size;
    return { loss, pixel, perceptual, commitment, grad_norm_before_clip: grad_norm, used };
  });
  const { student: final } = trainer.state();
  trainer.dispose();
  folder.write(
    'tokenizer.final',
    new Map([
      ...folder.load('tokenizer.init'),
      ...(picked ? notedAtStart(folder, config, init, Int32Array.from(picked.data)) : []),
      ...written(final),
    ]),
  );
  if (picked) folder.write('tokenizer.kmeans', new Map([['picked', picked]]));
  evaluate(folder, config, shape, final);
  return { steps };
}

/** What beit2 keeps of the start of its codebook beside the codes: how many rows were on each, and that it has begun. */
function notedAtStart(folder: ReplayFolder, config: VQConfig, init: StateDict, picked: Int32Array): StateDict {
  const network = new Network(step.student(config), init);
  const images = partOf(folder.load('tokenizer.batch.step0'), 'tokenizer.batch.step0')('images');
  const rows = tf.tidy(() => unit(latentsOf(network, channelsLast(images))).tensor.clone());
  const { codes, counts } = spreadCodes(rows, picked);
  tf.dispose([rows, codes]);
  network.dispose();
  const known = folder.load('tokenizer.init');
  const all: StateDict = new Map([
    ['quantize.embedding.cluster_size', { shape: [counts.length], data: counts }],
    ['quantize.embedding.initted', { shape: [1], data: Float32Array.of(1) }],
  ]);
  return new Map([...all].filter(([name]) => known.has(name)));
}

/** Latents before any length is taken, ids, and the picture of these codes. */
function evaluate(folder: ReplayFolder, config: VQConfig, shape: ReturnType<typeof shapeOf>, state: StateDict): void {
  const network = new Network(step.student(config), state);
  const input = partOf(folder.load('tokens.eval'), 'tokens.eval')('input');
  const batch = input.shape[0]!;
  const images = channelsLast(input);
  const latents = hostTidy(() => latentsOf(network, images).tensor);
  const codes = network.buffer(CODES) as tf.Tensor2D;
  const rows = tf.tidy(() => unit(latentsOf(network, images)).tensor.clone());
  const ids = nearest(rows, codes);
  rows.dispose();
  const side = shape.image_size;
  const picture = hostTidy(() => {
    const q = new Tokens(tf.gather(codes, tf.tensor1d(ids, 'int32')), batch);
    return pictureOf(network, q, shape).tensor;
  });
  network.dispose();
  folder.write(
    'tokens.eval',
    new Map([
      ['input', input],
      ['latents', { shape: [batch, ids.length / batch, shape.width], data: latents }],
      ['ids', { shape: [batch, ids.length / batch], data: Float32Array.from(ids) }],
      ['reconstruction', channelsFirst({ shape: [batch, side, side, 3], data: picture })],
    ]),
  );
}

/** Quantizers, the perceptual term, and a tokenizer that is trained with both; its steps are those of result.json. */
export const replay = (): OwnReplay => (folder, said) => {
  const fixture = fixtureSchema.parse(said);
  const [ema, norm] = (['ema', 'norm'] as const).map((kind) => quantizer(folder, kind, fixture));
  const features = perceptualTerm(folder, fixture);
  const tokenizer = trainTokenizer(folder, fixture);
  return { steps: tokenizer.steps, ema, norm, features, tokenizer };
};
