import { z } from 'zod';
import type { MapResult } from '../feature-map.ts';
import type { LeftOut } from '../left-out.ts';
import { byId, channel, id, part } from './schemas.ts';
import type { TaskRef } from './started.ts';

/** What a network learned, asked of single images and of many: look-ups, colours, attention, map. */

/** A map is of one network's features: the mean of an image's patch tokens, or its CLS token. */
const mapOf = { checkpoint: id, dataset: id, part, untrained: z.boolean(), pool: z.enum(['mean', 'cls']) };

export const EXPLORE = {
  /** The strip of fixed images with their look-ups at every checkpoint; those not computed yet are null. */
  'probes.get': channel<ProbeStrip>()(byId),
  /** Computes what `probes.get` lacks. */
  'probes.compute': channel<TaskRef<'probes'>>()(byId),
  /** One image's look-ups at a checkpoint. No mask: one of the run's generator, by `draw`. */
  'explore.lookup': channel<LookupView>()(
    z.strictObject({
      checkpoint: id,
      image: id,
      mask: z.array(z.boolean()).max(65_536).nullable(),
      draw: z.number().int().min(0),
      /** Asks the network as it was before training. */
      untrained: z.boolean(),
    }),
  ),
  /** What only this method can be asked of an image: an explanation of its description that explain.ts answers. */
  'explore.explain': channel<ExplainView>()(
    z.strictObject({
      checkpoint: id,
      image: id,
      /** Key of the explanation. */
      key: z.string().min(1).max(100),
      /** Null: one of the run's generator, by `draw`. */
      mask: z.array(z.boolean()).max(65_536).nullable(),
      draw: z.number().int().min(0),
      untrained: z.boolean(),
    }),
  ),
  /** Which groups (prototypes, classes, codes) the method sorts many images, or their patches, into. */
  'explore.groups': channel<GroupsView>()(
    z.strictObject({
      checkpoint: id,
      dataset: id,
      /** Is among the images, and its own group comes first; null for none. */
      image: id.nullable(),
      /** Key of the explanation. */
      key: z.string().min(1).max(100),
      images: z.number().int().min(2).max(1024),
      untrained: z.boolean(),
    }),
  ),
  /** Where, and on what, look-ups are right, over many images. */
  'explore.accuracy': channel<TaskRef<'accuracy'>>()(
    z.strictObject({ checkpoint: id, dataset: id, images: z.number().int().min(2).max(2000) }),
  ),
  /** Principal components of patch tokens as colours, on one basis for all images. */
  'explore.colours': channel<ColoursView>()(
    z.strictObject({
      checkpoint: id,
      dataset: id,
      /** Comes first; null for none. */
      image: id.nullable(),
      images: z.number().int().min(1).max(64),
      part,
      untrained: z.boolean(),
      /** Tokens after so many blocks; null for all. */
      block: z.number().int().min(1).max(1000).nullable(),
      /** Colours only patches whose first component lies in the upper or lower part of its range, by a basis of their own. */
      foreground: z.strictObject({ side: z.enum(['upper', 'lower']), threshold: z.number().min(0).max(1) }).nullable(),
    }),
  ),
  /** Where a token of an image looks, in every head of every block. */
  'explore.attention': channel<AttentionView>()(
    z.strictObject({
      checkpoint: id,
      image: id,
      part,
      untrained: z.boolean(),
      /** A patch, row by row; null for CLS. */
      patch: z.number().int().min(0).max(65_535).nullable(),
    }),
  ),
  /** The map of a dataset's images as it was computed last; null where it was not, or where images changed since. */
  'explore.map': channel<MapView | null>()(z.strictObject(mapOf)),
  /** Computes what `explore.map` lacks. */
  'explore.map-compute': channel<TaskRef<'map'>>()(z.strictObject(mapOf)),
} as const;

/** The answer at one masked patch. */
export const probeAnswerSchema = z.object({
  /** Place in the grid, row by row. */
  patch: z.number(),
  /** The key that the student found most like its query. */
  best: z.number(),
  /** Rank of the true place, from 1. */
  rank: z.number(),
});
export type ProbeAnswer = z.infer<typeof probeAnswerSchema>;

export interface ProbeStrip {
  grid: number;
  images: { image: number; path: string; picture: string; mask: boolean[] }[];
  /** By step; the first is the untrained network (`checkpoint` null). `answers[i]` is of `images[i]`. */
  columns: { checkpoint: number | null; step: number; answers: ProbeAnswer[][] | null }[];
}

/** One image's look-ups. A patch is its place in the grid, row by row. */
export interface LookupView {
  grid: number;
  /** What the networks saw: the middle square, as a data URL. */
  picture: string;
  path: string;
  step: number;
  temperature: number;
  mask: boolean[];
  answers: {
    patch: number;
    /** Rank of the true place, from 1. */
    rank: number;
    /** The same among another image's keys. */
    control_rank: number;
    /** The five most likely places, the likeliest first. */
    top5: number[];
    /** Probability of each of the K places, in ten-thousandths. */
    chances: number[];
    /** Nats; ln K is guessing. */
    entropy: number;
  }[];
  /** Whose BatchNorm statistics were used, in words. */
  how: string;
}

/** What a method says of one image, by the keys of its `ExplanationAnswer`. */
export interface ExplainView {
  grid: number;
  /** What the network was given, before patches were hidden: the middle square, as a data URL. */
  picture: string;
  path: string;
  step: number;
  mask: boolean[];
  /** Data URLs. */
  pictures: Record<string, string>;
  /** A number of each patch, row by row; null where there is none. */
  maps: Record<string, (number | null)[]>;
  figures: Record<string, number>;
  words: string;
  /** Images that were asked at once, the one first, each in the run's views as data URLs; empty where it was asked alone. */
  batch: { image: number; path: string; views: Record<string, string> }[];
  /** Of each pair of their views a number, row by row. */
  pairs: Record<string, number[]>;
}

/** How many images, or patches, belong to each group, and the nearest of the largest groups. */
export interface GroupsView {
  step: number;
  grid: number;
  /** Images that were asked, and their patches where these are sorted. */
  images: number;
  rows: number;
  /** Images that could not be read. */
  left_out: LeftOut[];
  /** Groups that there are, and those that are some row's own. */
  groups: number;
  used: number;
  /** exp of the entropy of how rows spread over groups, nats: as if so many were used alike. */
  perplexity: number;
  /** The group of the image that was asked for, then the largest. */
  shown: {
    /** From 1. */
    group: number;
    /** Rows whose own it is. */
    count: number;
    /** The nearest of them, the nearest first; with the image that was asked for, where it is one of them. */
    nearest: {
      image: number;
      hash: string;
      path: string;
      value: number;
      /** Where patches are sorted: its place, row by row, and a picture of it and of what is around it, as a data URL. */
      patch: { place: number; picture: string } | null;
    }[];
  }[];
}

export interface LookupAccuracy {
  grid: number;
  /** Images that were asked. */
  images: number;
  /** Images that could not be read. */
  left_out: LeftOut[];
  /** Look-ups that found their place, by place: share, and of how many. Null where nothing was masked. */
  places: { top1: number | null; control: number | null; n: number }[];
  /** By how much happens in a patch: quarters, from plain to rich. */
  content: { from: number; to: number; top1: number; control: number; n: number }[];
  trained: { top1: number; control: number };
  untrained: { top1: number; control: number };
}

/** First principal components of patch tokens. */
export interface ColoursView {
  grid: number;
  step: number;
  /** Blocks that the tokens went through, of `depth`. */
  block: number;
  depth: number;
  images: {
    id: number;
    hash: string;
    path: string;
    /** One pixel a patch, as a data URL; transparent where it is not in the foreground. */
    colours: string;
  }[];
  /** Share of the variance of the coloured patches that each of the three components has. */
  explained: number[];
  /** Images that could not be read. */
  left_out: LeftOut[];
  /** Coloured patches, and all. */
  coloured: number;
  patches: number;
}

/** Attention of one token to all, by block and head. */
export interface AttentionView {
  grid: number;
  step: number;
  path: string;
  /** What the network saw: the middle square, as a data URL. */
  picture: string;
  depth: number;
  heads: number;
  /** Null: CLS. */
  patch: number | null;
  blocks: {
    /** Probabilities of each of the K patches, in millionths, row by row. */
    patches: number[];
    /** Probability of CLS. */
    cls: number;
    /** Nats, over CLS and patches; ln (K + 1) is looking everywhere alike. */
    entropy: number;
    /** Mean over all patches of how far they look for other patches, in patches. */
    distance: number;
  }[][];
}

/** A dataset's images in two dimensions: near where a network's features are near. */
export interface MapView extends MapResult {
  step: number;
  created_at: number;
  ids: number[];
  /** Beginnings of the hashes of their contents, for the addresses of pictures. */
  hashes: string[];
  paths: string[];
  x: number[];
  y: number[];
  labels: string[];
  /** Of each image, its place in `labels`; -1 for none. */
  label: number[];
}
