/** BEiT's, on tokens of a tokenizer that was trained perceptually (PeCo, arXiv 2111.12710). */
export { step } from '../beit/step.ts';
