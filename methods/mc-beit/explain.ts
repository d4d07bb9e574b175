/** What is said of hidden patches: as BEiT is asked. */
export { explain } from '../beit/explain.ts';
