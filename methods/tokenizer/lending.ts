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

/** @param preset of the tokenizer, where it is not any @param refuses more that it needs, as a sentence; null for nothing */
export function borrowsTokenizer(
  { model }: RunConfig,
  preset?: string,
  refuses: (lender: RunConfig) => string | null = () => null,
): Borrowing {
  const grid = gridOf(model);
  return {
    key: 'tokenizer.run',
    what: 'tokenizer',
    prefix: TOKENIZER,
    refuses(lender) {
      if (lender.method.name !== 'tokenizer') return 'It trains no tokenizer.';
      const cells = gridOf(lender.model);
      if (cells !== grid)
        return `It has ${cells} x ${cells} tokens an image, and this run ${grid} x ${grid} patches: both must agree.`;
      return refuses(lender);
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
