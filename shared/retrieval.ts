/** What an index of patch features is of. */
export interface RetrievalSpec {
  checkpoint_id: number;
  dataset_id: number;
  /** Whose features; `untrained` is the network before its first step. */
  part: 'student' | 'teacher' | 'untrained';
  /** `tokens` (after the last LayerNorm), `projector`, or `block-N`, counted from 1. */
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
