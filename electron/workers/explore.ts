import { answer } from '../processes/answer.ts';
import { loadBackend } from '../runtime/backend.ts';
import { Explanations } from '../services/explore/explain.ts';
import { Explorer } from '../services/explore/explore.ts';
import { computeMap } from '../services/explore/feature-map.ts';
import { FeatureViews } from '../services/explore/features.ts';
import type { ExploreQuestions } from '../services/explore/host.ts';
import { Networks } from '../services/ground/networks.ts';
import { alike } from '../services/retrieval/alike.ts';
import { PatchIndexes, queryOf } from '../services/retrieval/patch-index.ts';
import { travel } from '../services/retrieval/travel.ts';
import { Store } from '../store/store.ts';

/** The process that answers questions of Explore: `workers/explore DATABASE`. It keeps what it has loaded; native code that crashes ends it alone. */
const store = Store.open(process.argv[2]!);
const networks = new Networks(store);
const explorer = new Explorer(store, networks);
const explanations = new Explanations(store, networks);
const indexes = new PatchIndexes(store, networks);
const features = new FeatureViews(store, networks);

// One after the other: they share the backend, and of a window's questions only the newest still counts.
answer<ExploreQuestions>(
  {
    lookup: (input) => explorer.lookup(input),
    explain: (input) => explanations.explain(input),
    groups: (input) => explanations.groups(input),
    retrieve: (input) => indexes.search(queryOf(input)),
    alike: (input) => alike(indexes, input),
    travel: (input) => travel(store, indexes, input),
    accuracy: (input, onProgress) => explorer.accuracy(input, onProgress),
    colours: (input) => features.colours(input),
    attention: (input) => features.attention(input),
    map: (input, onProgress) => computeMap(store, input, onProgress),
  },
  { inTurn: true, after: loadBackend() },
);
