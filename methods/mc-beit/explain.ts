/** What is said of hidden patches: as BEiT is asked. */
export { assign, explain } from '../beit/explain.ts';
