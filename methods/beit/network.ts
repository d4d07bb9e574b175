import type { NetworkSpec } from '../../electron/engine/network.ts';
import { beitStart, encoderSpecs, linearSpecs } from '../../electron/engine/parameters.ts';
import type { ModelConfig } from '../../shared/config.ts';
import { borrowedSpecs } from '../tokenizer/borrowed.ts';
import type { TokenizerShape } from '../tokenizer/shape.ts';

/** A ViT with a token for masked patches, a head that says tokens, and the tokenizer that says which are right. */
export function network({ model, tokenizer }: { model: ModelConfig; tokenizer: TokenizerShape }): NetworkSpec {
  const rules = beitStart(model.init_std);
  const { parameters, buffers } = borrowedSpecs(tokenizer);
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
