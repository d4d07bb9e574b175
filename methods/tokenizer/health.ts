import { concatenated, type Health, type HealthFigure } from '../../electron/engine/health.ts';
import { hostTidy } from '../../electron/engine/host.ts';
import { unit } from '../../electron/engine/layers/tokens.ts';
import type { RunConfig } from '../../shared/config.ts';
import { figureWords } from '../../shared/figures.ts';
import { dimensionsInUse, type Finding, type HealthReport, imagesApart } from '../../shared/health.ts';
import { inUse } from '../../shared/statistics.ts';
import { percent } from '../../shared/words.ts';
import { ours } from './config.ts';
import { errorsOf, flat, read } from './explain.ts';
import { fewestCodes, moreCodes } from './figures.ts';
import { shapeOf } from './shape.ts';
import { latentsOf } from './vq.ts';

const words = (value: number | null | undefined) => figureWords({ scale: 'plain' }, value);
const figures: readonly HealthFigure[] = [
  {
    key: 'error',
    title: 'Reconstruction error',
    words,
    against: ({ references }) => `each cell in its mean colour ${words(references.flat)}`,
  },
  {
    key: 'perplexity',
    title: 'Codes in use',
    words: (value) => value!.toFixed(1),
    against: (report) => `of ${report.references.codes}; fewer than ${fewest(report).toFixed(0)} are a collapse`,
  },
  {
    key: 'dead',
    title: 'Codes that fall on none of these images',
    words: percent,
    against: ({ references }) => `of ${references.codes}, with ${references.cells} cells`,
  },
];

const fewest = ({ references }: HealthReport) => fewestCodes(references.codes!, references.cells!);

/** Pictures that are drawn of codes, and the codebook: whether tokens say what an image shows. */
export const health: Health<RunConfig> = {
  sets: [{ key: 'vectors', title: 'vectors of cells' }],
  figures,
  meanings: [
    ['Uniformity', 'Wang and Isola, arXiv 2005.10242.'],
    [
      'Reconstruction error',
      'Mean square of pixels from −1 to 1, of the picture that is drawn of an image’s codes. Cells in their mean colour are what ' +
        'tokens should do better than.',
    ],
    [
      'Codes in use',
      'exp of the entropy of how often each code falls: so many equally frequent ones would have this entropy. van den Oord et al., arXiv 1711.00937.',
    ],
    [
      'Vectors of cells',
      'What the encoder says of each cell before it gets a code. Images are the mean of patch tokens.',
    ],
  ],
  curves: 'Loss, and codes in use, by step',
  together: 1,

  measure(config) {
    const shape = shapeOf(ours(config));
    const pixels = 3 * shape.image_size ** 2;
    const vectors: Float32Array[] = [];
    const ids: number[] = [];
    const errors = { drawn: 0, flat: 0, images: 0 };
    return {
      add({ student }, { images }) {
        vectors.push(hostTidy(() => unit(latentsOf(student, images)).tensor));
        const found = read(student, images, shape);
        for (const id of found.ids) ids.push(id);
        for (let at = 0; at < images.length; at += pixels) {
          const image = images.subarray(at, at + pixels);
          errors.drawn += mean(errorsOf(image, found.drawn.subarray(at, at + pixels), shape));
          errors.flat += mean(errorsOf(image, flat(image, shape), shape));
          errors.images++;
        }
      },
      result() {
        const { codes, width } = shape;
        return {
          sets: { vectors: { features: concatenated(vectors), width } },
          figures: {
            error: errors.drawn / errors.images,
            perplexity: inUse(ids),
            dead: 1 - new Set(ids).size / codes,
          },
          references: { flat: errors.flat / errors.images, codes, cells: ids.length },
        };
      },
    };
  },

  findings,
};

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

function findings(report: HealthReport, config: RunConfig): Finding[] {
  const { trained, untrained, references } = report;
  const { error, perplexity, dead } = trained.figures as Record<string, number>;
  const isNear = error! < references.flat!;
  const areFew = perplexity! < fewest(report);
  return [
    {
      level: isNear ? 'good' : 'bad',
      title: isNear ? 'Pictures of codes look like their images' : 'Pictures of codes lose their images',
      text:
        `Their error is ${words(error)}; of cells in their mean colour ${words(references.flat)}, of the untrained network ` +
        `${words(untrained.figures.error)}.${isNear ? '' : ' Train it longer, or with smaller patches.'}`,
    },
    {
      level: areFew ? 'bad' : 'good',
      title: areFew ? 'The codebook has collapsed' : 'The codebook is in use',
      text:
        `As many of ${references.codes} codes are in use as ${perplexity!.toFixed(1)} would be evenly (untrained ` +
        `${untrained.figures.perplexity!.toFixed(1)}); fewer than ${fewest(report).toFixed(0)} are a collapse. On these images ` +
        `${percent(dead)} of the codes never fall.${areFew ? ` ${moreCodes(config)}` : ''}`,
    },
    imagesApart(report, moreCodes(config)),
    dimensionsInUse(report, 'vectors', 'vectors of cells'),
  ];
}
