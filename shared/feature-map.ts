import { z } from 'zod';
import { leftOutSchema } from './left-out.ts';

/** How far a map can be trusted, of `sample` of its n images. */
export const mapFiguresSchema = z.object({
  /** Neighbours that were compared. */
  k: z.number(),
  n: z.number(),
  sample: z.number(),
  /** 1 where every neighbour on the map is one of the features too (Venna and Kaski, 2001); guessing gives about a half. */
  trustworthiness: z.number(),
  /** Share of the k nearest by features that are the k nearest on the map; guessing gives k / (n - 1). */
  kept: z.number(),
});
export type MapFigures = z.infer<typeof mapFiguresSchema>;

/** What is kept of a map beside its places. */
export const mapResultSchema = z.object({
  /** Usable images of the dataset; of more than the limit, those on the map are taken evenly. */
  total: z.number(),
  /** Images that could not be read any more. */
  unreadable: z.number(),
  /** The first of them; an older program named none. */
  left_out: z.array(leftOutSchema).default([]),
  figures: mapFiguresSchema,
});
export type MapResult = z.infer<typeof mapResultSchema>;
