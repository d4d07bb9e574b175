import { z } from 'zod';
import { gridOf, type ModelConfig, modelSchema, type RunConfig } from '../../shared/config.ts';
import type { Borrowing, Explanation } from '../../shared/method.ts';
import { codebookSchema, decoderSchema, defaults, ours } from './config.ts';
import { PERCEPTUAL, presets } from './presets.ts';

/** Before the names of a tokenizer's tensors in the network that it gives targets to. */
export const TOKENIZER = 'tokenizer.';

/** Which tokenizer a student takes over, and what follows from it: all but the run is filled in when the run is made. */
export const tokenizerSection = z
  .strictObject({
    run: z
      .number()
      .int()
      .positive()
      .nullable()
      .default(null)
      .describe('number of the run that trained the tokenizer; null: the newest of the same dataset that suits'),
    codes: codebookSchema.shape.codes,
    width: codebookSchema.shape.width,
    patch_size: modelSchema.shape.patch_size.default(8),
    embed_dim: modelSchema.shape.embed_dim.default(768),
    depth: modelSchema.shape.depth,
    decoder_depth: decoderSchema.shape.depth,
    num_heads: modelSchema.shape.num_heads.default(12),
    mlp_ratio: modelSchema.shape.mlp_ratio,
  })
  .prefault({});

/** Settings of that section that nobody writes. */
export const TAKEN = [
  ...['codes', 'width', 'patch_size', 'embed_dim', 'depth', 'decoder_depth', 'num_heads', 'mlp_ratio'],
].map((field) => `tokenizer.${field}`);

/** By what the tokenizer was taught to compare pictures: a student of one kind is another method than a student of the other. */
const TAUGHT = {
  pixels: {
    preset: undefined,
    refused:
      'It compared features too (perceptual.weight is above 0), and this method is of pixels alone: PeCo is of such.',
  },
  features: {
    preset: PERCEPTUAL,
    refused: 'It compared pixels alone (perceptual.weight is 0), and PeCo is BEiT with one that compared features too.',
  },
} as const;

/** @param by what the tokenizer has compared */
export function borrowsTokenizer({ model }: RunConfig, by: keyof typeof TAUGHT): Borrowing {
  const grid = gridOf(model);
  const { preset, refused } = TAUGHT[by];
  return {
    key: 'tokenizer.run',
    what: 'tokenizer',
    prefix: TOKENIZER,
    refuses(lender) {
      if (lender.method.name !== 'tokenizer') return 'It trains no tokenizer.';
      const cells = gridOf(lender.model);
      if (cells !== grid)
        return `It has ${cells} x ${cells} tokens an image, and this run ${grid} x ${grid} patches: both must agree.`;
      return ours(lender).perceptual.weight > 0 === (by === 'features') ? null : refused;
    },
    takes(lender) {
      const { codebook, decoder, model: of } = ours(lender);
      return {
        'tokenizer.codes': codebook.codes,
        'tokenizer.width': codebook.width,
        'tokenizer.patch_size': of.patch_size,
        'tokenizer.embed_dim': of.embed_dim,
        'tokenizer.depth': of.depth,
        'tokenizer.decoder_depth': decoder.depth,
        'tokenizer.num_heads': of.num_heads,
        'tokenizer.mlp_ratio': of.mlp_ratio,
      };
    },
    make: { command: 'tokenizer', options: preset ? `--preset ${preset}` : '', ...madeFor(model, preset) },
  };
}

/**
 * A tokenizer for a student: of as many cells as it has patches. Of those of its grid the widest that is no wider than it, else
 * the narrowest; where there is none the small one, with its grid.
 */
function madeFor(student: ModelConfig, named: string | undefined): Pick<Borrowing['make'], 'preset' | 'changes'> {
  const all = presets.map(({ name, config }) => ({
    name,
    model: { ...defaults.model, ...config.model } as ModelConfig,
  }));
  const ofGrid = all.filter(({ model }) => gridOf(model) === gridOf(student));
  const byWidth = ofGrid
    .filter(({ name }) => name !== PERCEPTUAL)
    .toSorted((a, b) => a.model.embed_dim - b.model.embed_dim);
  const suits = byWidth.findLast(({ model }) => model.embed_dim <= student.embed_dim) ?? byWidth[0];
  const preset = all.find(({ name }) => name === named) ?? suits ?? all[0]!;
  const { image_size, patch_size } = student;
  return {
    preset: preset.name,
    changes: ofGrid.includes(preset) ? {} : { 'model.image_size': image_size, 'model.patch_size': patch_size },
  };
}

/** Patches of many images, by the code that they have. @param one what a code is called */
export const membersOf = (one: string): Explanation => ({
  key: 'members',
  title: `Patches of each ${one}`,
  view: 'Members',
  answer: null,
  groups: { of: 'patches', one, many: `${one}s`, value: 'cosine' },
});
