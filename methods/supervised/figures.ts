import { entropyChart } from '../../shared/figures.ts';
import type { Account } from '../../shared/method.ts';

/** What a step of a fine-tuning says, and what it is held against. */
export const account: Account = {
  figures: [
    {
      key: 'top1',
      title: 'Accuracy',
      scale: 'share',
      unit: '% of test images',
      isMain: true,
      about: 'Share of test images whose class was named, as measured last',
    },
    {
      key: 'top5',
      title: 'Accuracy, top-5',
      scale: 'share',
      unit: '% of test images',
      isMain: false,
      about: 'Share of test images whose class was among the likeliest five',
    },
  ],
  charts: [
    entropyChart,
    {
      title: 'Accuracy',
      unit: '% of test images, as measured last',
      isShare: true,
      isSparse: true,
      lines: [
        { key: 'top1', label: 'top-1', colour: 0 },
        { key: 'top5', label: 'top-5', colour: 3 },
      ],
      references: ({ figures: { top1 } }) => [{ label: `1 of ${Math.round(1 / top1!)} classes`, value: top1! }],
    },
  ],
  /** An image chooses among the classes, whatever the pretraining chose among. */
  chance(_, { classes = 1 } = {}) {
    const among = Math.max(1, classes);
    return {
      loss: Math.log(among),
      words: `ln ${among}`,
      figures: { top1: 1 / among, top5: Math.min(1, 5 / among) },
    };
  },
  alarm: () => null,
  notes: () => [],
  causes: () => [],
  isNotForFeatures: 'A fine-tuning is judged by its accuracy.',
};
