/** BEiT's: what differs is what its tokenizer was trained with. */
export { network } from '../beit/network.ts';
