import type { Checkpoint } from '../../shared/checkpoint.ts';
import type { RunDetail } from '../../shared/contract/runs.ts';

/** What every view of Explore is given, those of methods too; each takes what it needs. */
export interface ExploreProps {
  run: RunDetail;
  /** Of the run. */
  checkpoint: number;
  /** All of the run's. */
  checkpoints: Checkpoint[];
  dataset: number;
  /** Of the dataset. */
  image: number;
  /** Asks the network as it was before training. */
  isUntrained: boolean;
  datasets: { id: number; name: string; image_count: number }[];
}
