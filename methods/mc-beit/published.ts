import type { Published } from '../../electron/engine/published.ts';
import { published as beit } from '../beit/published.ts';

/** By which the published code divides the logits of its tokenizer. */
const TEMPERATURE = 4;

/** Files of lixiaotong97/mc-BEiT have BEiT's tensors, and nothing that tells them apart; they were pretrained on ImageNet-1k. */
export const published: Published = {
  ...beit,
  recognise: () => null,
  sizes(student) {
    const { config, unsaid } = beit.sizes(student);
    const { augment: _, ...rest } = config;
    return { config: { ...rest, targets: { temperature: TEMPERATURE } }, unsaid };
  },
};
