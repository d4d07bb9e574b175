import { prepareDataset } from '../../electron/services/datasets/prepare.ts';
import { databaseIn } from '../../electron/store/home.ts';
import { Store } from '../../electron/store/store.ts';
import { toReport } from '../../shared/errors.ts';

/** Prepares HOME's dataset in small chunks, in a process of its own that a test kills or stops. */
const [home, size, chunkBytes] = process.argv.slice(2) as [string, string, string];
const store = Store.open(databaseIn(home));
try {
  await prepareDataset(store, { dataset: 'pictures', size: Number(size), chunkBytes: Number(chunkBytes) });
} catch (error) {
  process.stdout.write(JSON.stringify(toReport(error)));
  process.exitCode = 3;
}
store.close();
