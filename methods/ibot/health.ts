import * as tf from '@tensorflow/tfjs-core';
import { encode } from '../../electron/engine/encoder.ts';
import type { Health, HealthFigure } from '../../electron/engine/health.ts';
import { hostTidy } from '../../electron/engine/host.ts';
import { cropHealth, FEWEST_GROUPS } from '../../electron/engine/image-health.ts';
import { all, type Images } from '../../electron/engine/layers/embed.ts';
import { clsRows, patchRows } from '../../electron/engine/layers/tokens.ts';
import { weightNormed } from '../../electron/engine/layers/weight-norm.ts';
import type { Network } from '../../electron/engine/network.ts';
import type { RunConfig } from '../../shared/config.ts';
import type { Finding, HealthReport } from '../../shared/health.ts';
import { inUse } from '../../shared/statistics.ts';
import { ours } from './config.ts';
import { steadier } from './figures.ts';
import { lastLayers } from './network.ts';
import { bottleneck } from './step.ts';

const patchClasses: HealthFigure = {
  key: 'patch_classes',
  title: 'Classes of patches in use',
  words: (value) => value!.toFixed(1),
  against: ({ references }) => `${references.patch_classes_most} at most, 1 collapsed`,
};

/** What stands before the last layer, for CLS: of unit length. */
const headOfCls = (of: Network, images: Images, config: RunConfig) =>
  bottleneck(of, clsRows(encode(of, all(images))), ours(config));

/** The teacher's logits, less their centre, which the student's network keeps. */
const centred = (logits: tf.Tensor2D, student: Network, centre: string) =>
  tf.sub(logits, tf.reshape(student.buffer(centre), [1, -1])) as tf.Tensor2D;

const ofImages = cropHealth({
  heads: (config) => ({
    query: ({ student }, images) => headOfCls(student, images, config),
    key: ({ teacher }, images) => headOfCls(teacher!, images, config),
  }),
  groups: {
    key: 'classes',
    title: 'classes',
    inUse: 'Classes of images in use',
    scores: ({ student, teacher }, images, config) => {
      const { cls } = lastLayers(ours(config));
      return centred(weightNormed(teacher!, cls, headOfCls(teacher!, images, config)).tensor, student, 'center');
    },
  },
  meanings: [
    [
      'Classes in use',
      'exp of the entropy of how often each class is the likeliest of an image’s CLS token, or of a patch, by the teacher and ' +
        'its centre: so many equally frequent ones would have this entropy. Zhou et al., arXiv 2111.07832.',
    ],
    [
      'Keys',
      'What the teacher’s head makes of second crops before its last layer; what the student’s makes of first crops looks for them.',
    ],
  ],
  curves: 'Loss, and entropy of the teacher, by step',
  advice: steadier,
});

const [used, together, ...ofCrops] = ofImages.figures as [HealthFigure, HealthFigure, ...HealthFigure[]];

/** The teacher's classes of images and of patches: whether several are in use, and both crops of an image have the same. */
export const health: Health<RunConfig> = {
  ...ofImages,
  figures: [used, together, patchClasses, ...ofCrops],

  measure(config) {
    const own = ours(config);
    const images = ofImages.measure(config);
    const patches: number[] = [];
    return {
      add(networks, batch) {
        images.add(networks, batch);
        const { student, teacher } = networks;
        const best = hostTidy(() => {
          const rows = bottleneck(teacher!, patchRows(encode(teacher!, all(batch.images))), own);
          const logits = weightNormed(teacher!, lastLayers(own).patch, rows).tensor;
          return tf.cast(tf.argMax(centred(logits, student, 'center2'), 1), 'float32');
        });
        for (const patch of best) patches.push(patch);
      },
      result() {
        const { sets, figures, references } = images.result();
        return {
          sets,
          figures: { ...figures, patch_classes: inUse(patches) },
          references: { ...references, patch_classes_most: Math.min(patches.length, own.head.out) },
        };
      },
    };
  },

  findings(report, config) {
    const found = ofImages.findings(report, config);
    return [...found.slice(0, 2), patchesFall(report, steadier(config)), ...found.slice(2)]; // after what says where images fall
  },
};

function patchesFall({ trained, untrained, references }: HealthReport, advice: string): Finding {
  const [now, before] = [trained.figures.patch_classes!, untrained.figures.patch_classes!];
  const isOne = now < FEWEST_GROUPS;
  return {
    level: isOne ? 'bad' : 'good',
    title: isOne ? 'Nearly all patches fall to one class' : 'Patches fall to several classes',
    text:
      `As many classes of patches are in use as ${now.toFixed(1)} would be evenly, of ${references.patch_classes_most} at most ` +
      `(untrained ${before.toFixed(1)}). Fewer than ${FEWEST_GROUPS} are a collapse.${isOne ? ` ${advice}` : ''}`,
  };
}
