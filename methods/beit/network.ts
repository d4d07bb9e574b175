import type { NetworkSpec } from '../../electron/engine/network.ts';
import { depthScaledStart, encoderSpecs, linearSpecs } from '../../electron/engine/parameters.ts';
import type { ModelConfig } from '../../shared/config.ts';
import { shapeFor, type TokenizerSettings, type TokenizerShape } from '../tokenizer/shape.ts';
import { borrowedSpecs } from '../tokenizer/specs.ts';

/** What of a configuration a student's networks are made by. */
export interface StudentConfig {
  model: ModelConfig;
  /** In a run: what it keeps of the one that it takes over. */
  tokenizer: TokenizerSettings | TokenizerShape;
}

/** A ViT with a token for masked patches, a head that says tokens, and the tokenizer that says which are right. */
export function network({ model, tokenizer }: StudentConfig): NetworkSpec {
  const rules = depthScaledStart(model.init_std);
  const { parameters, buffers } = borrowedSpecs(shapeFor(model, tokenizer));
  return {
    model,
    parameters: [
      ...encoderSpecs(model, rules),
      ...linearSpecs('lm_head', tokenizer.codes, model.embed_dim, rules),
      ...parameters,
    ],
    buffers,
  };
}
