import { isSilent } from '../../services/ground/outside.ts';
import type { Context } from '../context.ts';

/** Refuses a dataset one of whose folders hangs: nothing that reads from it would end. @throws AppError */
export async function requireAnswering({ store, outside, explore }: Context, dataset: number): Promise<void> {
  try {
    await Promise.all(store.datasets.get(dataset).folders.map((folder) => outside.look(folder)));
  } catch (error) {
    // What asked there before may hang in it. What is no answer of the disk is said by what reads.
    if (isSilent(error)) {
      explore.close();
      throw error;
    }
  }
}
