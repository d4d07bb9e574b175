import { gridOf, type ModelConfig } from '../../shared/config.ts';

/** A tokenizer of ViT blocks with a codebook that vectors are matched to (VQ-KD of arXiv 2208.06366, PeCo's here). */
export interface VQShape {
  kind: 'vq';
  /** Side of what it sees, and of a cell of it that gets a token; pixels. */
  image_size: number;
  patch_size: number;
  /** Of encoder and decoder. */
  embed_dim: number;
  num_heads: number;
  mlp_ratio: number;
  /** Blocks of the encoder, and of the decoder. */
  depth: number;
  decoder_depth: number;
  /** V: tokens that there are; and the width of a code. */
  codes: number;
  width: number;
}

/** A discrete VAE of convolutions (`DiscreteVAE` of BEiT's code), which halves the side `layers` times. */
export interface DVAEShape {
  kind: 'dvae';
  image_size: number;
  layers: number;
  /** Channels between. */
  hidden: number;
  codes: number;
  width: number;
}

/** All that the networks of a tokenizer are made by. */
export type TokenizerShape = VQShape | DVAEShape;

/** Cells along one side: as many as the student's patches. */
export const cellsOf = (shape: TokenizerShape): number =>
  shape.kind === 'vq' ? shape.image_size / shape.patch_size : shape.image_size / 2 ** shape.layers;

/** The ViT that a tokenizer's encoder is: positions are learned, branches are not scaled. */
export const encoderOf = (shape: VQShape, rest: { layer_norm_eps?: number; init_std?: number } = {}): ModelConfig => ({
  image_size: shape.image_size,
  patch_size: shape.patch_size,
  embed_dim: shape.embed_dim,
  depth: shape.depth,
  num_heads: shape.num_heads,
  mlp_ratio: shape.mlp_ratio,
  position: 'absolute',
  layer_scale_init: 0,
  layer_norm_eps: 1e-6,
  init_std: 0.02,
  ...rest,
});

/** The shape of what a run of a tokenizer trains. */
export const shapeOf = ({
  model,
  codebook,
  decoder,
}: {
  model: ModelConfig;
  codebook: { codes: number; width: number };
  decoder: { depth: number };
}): VQShape => ({
  kind: 'vq',
  image_size: model.image_size,
  patch_size: model.patch_size,
  embed_dim: model.embed_dim,
  num_heads: model.num_heads,
  mlp_ratio: model.mlp_ratio,
  depth: model.depth,
  decoder_depth: decoder.depth,
  codes: codebook.codes,
  width: codebook.width,
});

/** What a student's configuration keeps of the tokenizer that it takes over. */
export type TokenizerSettings = Omit<VQShape, 'kind' | 'image_size'>;

/** The shape of the tokenizer of a student: it has a cell for each patch. */
export const shapeFor = (
  model: Pick<ModelConfig, 'image_size' | 'patch_size'>,
  tokenizer: TokenizerSettings | TokenizerShape,
): TokenizerShape => {
  if ('kind' in tokenizer) return tokenizer;
  const { patch_size, embed_dim, num_heads, mlp_ratio, depth, decoder_depth, codes, width } = tokenizer;
  const image_size = gridOf(model) * patch_size;
  return {
    kind: 'vq',
    image_size,
    patch_size,
    embed_dim,
    num_heads,
    mlp_ratio,
    depth,
    decoder_depth,
    codes,
    width,
  };
};
