import type { Store } from '../../store/store.ts';
import { isSilent, type Outside } from '../ground/outside.ts';

/** What it takes to find out whether a dataset's folders answer. */
export interface Answering {
  store: Store;
  outside: Outside;
  /** The process that reads images for Explore. */
  explore: { close(): void };
}

/** Refuses a dataset one of whose folders hangs: nothing that reads from it would end. @throws AppError */
export async function requireAnswering({ store, outside, explore }: Answering, dataset: number): Promise<void> {
  try {
    await Promise.all(store.datasets.get(dataset).folders.map((folder) => outside.look(folder)));
  } catch (error) {
    // Explore's process may hang in that folder. Other errors are left to whoever reads the images.
    if (isSilent(error)) {
      explore.close();
      throw error;
    }
  }
}
