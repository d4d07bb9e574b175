/** BEiT's: what the student says of hidden patches, and what the tokenizer is worth. */
export { health } from '../beit/health.ts';
