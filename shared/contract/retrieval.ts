import { z } from 'zod';
import type { LeftOut } from '../left-out.ts';
import { type RetrievalIndex, WHOLE_FEATURES } from '../retrieval.ts';
import type { Place } from '../travel.ts';
import { byId, channel, id, nothing, text } from './schemas.ts';
import type { TaskRef, Undo } from './started.ts';

/** Patches like a patch, at one checkpoint or at several. */

/** Letters of a file that a window sends, in base64: 24 MB of bytes. */
export const LARGEST_FILE = 32 * 2 ** 20;

/** Which index: see `RetrievalSpec`. */
const retrieval = {
  checkpoint: id,
  dataset: id,
  part: z.enum(['student', 'teacher', 'untrained']),
  feature: z.string().max(20),
  max_images: z.number().int().min(0),
};

const voyage = {
  checkpoints: z.array(id).min(1).max(200),
  dataset: id,
  part: z.enum(['student', 'teacher']),
  feature: z.string().max(20),
  max_images: z.number().int().min(1).max(5000),
};

export const RETRIEVAL = {
  'retrieval.indexes': channel<RetrievalIndex[]>()(nothing),
  /** Builds, goes on with what was cut short, or adds new images. */
  'retrieval.build': channel<TaskRef<'index'>>()(z.strictObject(retrieval)),
  /** Hidden at once, gone when the undo has run out, or when an index is built. Refused while it may be being built. */
  'retrieval.delete': channel<Undo>()(byId),
  'retrieval.search': channel<RetrievalView>()(
    z.strictObject({
      ...retrieval,
      /** Of the query; of any dataset. */
      image: id,
      /** One, or a region whose features are averaged. */
      patches: z.array(z.number().int().min(0)).min(1).max(65_536),
      /** Searches the query's image alone: this needs no index. */
      within: z.boolean(),
      k: z.number().int().min(1).max(500),
      label: text.nullable(),
      /** Start of the path. */
      folder: text,
      same_image: z.boolean(),
      duplicates: z.boolean(),
    }),
  ),
  /** Whole images like one, by an index of `retrieval.build`. */
  'alike.search': channel<AlikeView>()(
    z.strictObject({
      ...retrieval,
      feature: z.enum(WHOLE_FEATURES),
      /** The query: an image of any dataset, or the bytes of a file that is in none, in base64. */
      of: z.union([z.strictObject({ image: id }), z.strictObject({ name: text, bytes: z.base64().max(LARGEST_FILE) })]),
      k: z.number().int().min(1).max(500),
      label: text.nullable(),
      /** Start of the path. */
      folder: text,
      duplicates: z.boolean(),
    }),
  ),
  'travel.build': channel<TaskRef<'index'>>()(z.strictObject(voyage)),
  /** Checkpoints that are not built yet have no results. */
  'travel.ask': channel<TravelView>()(
    z.strictObject({
      ...voyage,
      image: id,
      patches: z.array(z.number().int().min(0)).min(1).max(65_536),
      k: z.number().int().min(1).max(100),
    }),
  ),
} as const;

/** A patch search's answers, the nearest first. A patch is its place in the grid, row by row. */
export interface RetrievalView {
  grid: number;
  /** The middle square of the query's image, as a data URL. */
  picture: string;
  path: string;
  patches: number[];
  /** Cosine of every patch of the query's image with the query. */
  similarity: number[];
  results: {
    image: number;
    path: string;
    label: string | null;
    patch: number;
    /** Cosine, of features less their mean. */
    score: number;
    picture: string;
  }[];
  searched: Searched;
}

/** Whole images like one, the nearest first. */
export interface AlikeView {
  /** The middle square of the query, as a data URL. */
  picture: string;
  /** Null for a file that is in no dataset. */
  path: string | null;
  results: {
    image: number;
    hash: string;
    path: string;
    label: string | null;
    /** Cosine, of features less their mean. */
    score: number;
  }[];
  searched: Searched;
}

/** The nearest patches of other images at each checkpoint; the untrained network of a run stands before its first. */
export interface TravelView {
  /** Of the first checkpoint's network: the query's patches are on it. */
  grid: number;
  picture: string;
  path: string;
  /** Of images among the results, by id. */
  pictures: Record<number, string>;
  stations: TravelStation[];
}

/** One network that was asked: the untrained one of a run, or a checkpoint's. */
export interface TravelStation {
  checkpoint: number;
  run: number;
  name: string;
  step: number;
  is_untrained: boolean;
  /** Patches of a row of its images. Where it is another than the query's, the same part of the picture is asked. */
  grid: number;
  /** Null where it is not built yet. */
  results: TravelAnswer[] | null;
  /** Share of the results that the station before, of the same run, had too. */
  overlap: number | null;
  /** For another run: the first run's station nearest to it in steps, beside which it is shown. Null for the first run's own. */
  beside: {
    checkpoint: number;
    step: number;
    is_untrained: boolean;
    /** Share of the results that both have; null where their grids differ. */
    overlap: number | null;
  } | null;
}

export interface TravelAnswer extends Place {
  path: string;
  score: number;
  /** Rank at the station before, from 1; null where it was not among its results. */
  rank_before: number | null;
  /** Rank at the station that it stands beside. */
  rank_beside: number | null;
}

/** What was searched, and how surely. */
export interface Searched {
  dataset: string;
  images: number;
  /** None where whole images were. */
  patches: number;
  /** True where all were compared. */
  is_exact: boolean;
  /** Recall of the best ten by score, measured against exact search; null where all were compared. */
  recall: number | null;
  /** The search alone, ms. */
  ms: number;
  /** All of this in a sentence or two. */
  words: string;
}

/** How well answers through the lists of an index reach the nearest. */
export interface Recall {
  /** Share of the k best scores that answers reach, against all rows compared; null while not measured. */
  recall: number;
  k: number;
  queries: number;
  /** Milliseconds a query, without the network's part. */
  p50: number;
  p95: number;
}

/** What building an index made: the result of its task. */
export interface BuildReport {
  index: RetrievalIndex;
  patches: number;
  bytes: number;
  recall: Recall | null;
  /** Files that could not be read. */
  unreadable: number;
  left_out: LeftOut[];
  /** Files of the index that were damaged, and were made again. */
  repaired: string[];
}
