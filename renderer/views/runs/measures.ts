import type { Description } from '../../../shared/figures.ts';
import { lowerFirst } from '../../../shared/text.ts';

/** What the curves of runs can be compared by. */
export interface CurveMeasure {
  title: string;
  unit: string;
  /** Factor from what is stored to what is drawn. */
  scale: number;
}

const COMMON: Record<string, CurveMeasure> = {
  grad_norm: { title: 'Gradient norm', unit: '', scale: 1 },
  images_per_s: { title: 'Speed', unit: 'images/s', scale: 1 },
  lr: { title: 'Learning rate', unit: '', scale: 1 },
};
const MOMENTUM: CurveMeasure = { title: "Teacher's momentum", unit: '', scale: 1 };

const distinct = (words: readonly string[]) => [...new Set(words)];

/** By key: the loss, every figure of these methods, and what every step has. A figure that is another in each has both titles. */
export function measures(methods: readonly Description[]): Record<string, CurveMeasure> {
  const units = distinct(methods.flatMap(({ charts: [first] }) => (first ? [first.unit] : [])));
  const found: Record<string, CurveMeasure> = {
    loss: { title: 'Loss', unit: units.length === 1 ? units[0]! : '', scale: 1 },
  };
  const all = methods.flatMap(({ figures }) => figures);
  for (const { key, scale, unit } of all) {
    const titles = distinct(all.filter((one) => one.key === key).map(({ title }) => title));
    const isShare = scale === 'share';
    found[key] = {
      title: titles.map((title, i) => (i === 0 ? title : lowerFirst(title))).join(', or '),
      unit: isShare ? '%' : unit,
      scale: isShare ? 100 : 1,
    };
  }
  return { ...found, ...COMMON, ...(methods.some(({ hasTeacher }) => hasTeacher) && { momentum: MOMENTUM }) };
}
