export { labelNotices } from '../trainer/labelled.ts';
