import { toReport } from '../../shared/errors.ts';
import { loadBackend } from '../runtime/backend.ts';
import { Explorer } from '../services/explore/explore.ts';
import { computeMap } from '../services/explore/feature-map.ts';
import { FeatureViews } from '../services/explore/features.ts';
import type { ExploreMessage, ExploreRequest } from '../services/explore/host.ts';
import { PatchIndexes, queryOf } from '../services/retrieval/patch-index.ts';
import { travel } from '../services/retrieval/travel.ts';
import { Store } from '../store/store.ts';

/** The process that answers questions of Explore: `workers/explore DATABASE`. It keeps what it has loaded; native code that crashes ends it alone. */
const store = Store.open(process.argv[2]!);
const explorer = new Explorer(store);
const indexes = new PatchIndexes(store);
const features = new FeatureViews(store);
const ready = loadBackend();

const say = (message: ExploreMessage) => process.send!(message, undefined, undefined, () => {});
// One after the other: they share the backend, and the newest of a window is the only one that is still wanted.
let turn: Promise<unknown> = ready;
process.on('message', ({ id, ask }: ExploreRequest) => {
  turn = turn
    .catch(() => {})
    .then(async () => {
      await ready;
      const onProgress = (done: number, total: number, phase: string) =>
        say({ id, type: 'progress', done, total, phase });
      switch (ask.kind) {
        case 'lookup':
          return explorer.lookup(ask.input);
        case 'retrieve':
          return indexes.search(queryOf(ask.input));
        case 'travel':
          return travel(store, indexes, ask.input);
        case 'accuracy':
          return explorer.accuracy(ask.input, onProgress);
        case 'colours':
          return features.colours(ask.input);
        case 'attention':
          return features.attention(ask.input);
        case 'map':
          return computeMap(store, ask.input, onProgress);
      }
    })
    .then(
      (value) => say({ id, type: 'result', value }),
      (error) => say({ id, type: 'error', error: toReport(error) }),
    );
});
process.once('disconnect', () => process.exit());
