/**
 * Features of whole images: the mean of the patch tokens, or CLS, after the last LayerNorm. An index of these has a row for
 * each image; of any other feature, a row for each patch.
 */
export const WHOLE_FEATURES = ['mean', 'cls'] as const;
export type WholeFeature = (typeof WHOLE_FEATURES)[number];

export const isWhole = (feature: string): feature is WholeFeature => WHOLE_FEATURES.some((one) => one === feature);

/** What an index of features is of. */
export interface RetrievalSpec {
  checkpoint_id: number;
  dataset_id: number;
  /** Whose features; `untrained` is the network before its first step. */
  part: 'student' | 'teacher' | 'untrained';
  /** Of patches: `tokens` (after the last LayerNorm), `projector`, or `block-N`, counted from 1. Or one of whole images. */
  feature: string;
  /** Spread evenly over the dataset; 0 for all of its images. */
  max_images: number;
}

export interface RetrievalIndex extends RetrievalSpec {
  id: number;
  images: number;
  /** False while it is built, or where building was cut short: building goes on from there. */
  is_ready: boolean;
  created_at: number;
}
