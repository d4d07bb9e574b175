import type { Channel, Input, Result } from '../../shared/contract/index.ts';
import type { LiveBakeOffs } from '../services/bakeoff/live.ts';
import type { Thumbnails } from '../services/datasets/thumbnails.ts';
import type { ExploreHost } from '../services/explore/host.ts';
import type { Events } from '../services/ground/events.ts';
import type { Outside } from '../services/ground/outside.ts';
import type { Tasks } from '../services/ground/tasks.ts';
import type { Deletions } from '../services/ground/undo.ts';
import type { LiveRuns } from '../services/runs/live.ts';
import type { Shell } from '../shell/shell.ts';
import type { Store } from '../store/store.ts';

/** What handlers work with. */
export interface Context {
  home: string;
  shell: Shell;
  store: Store;
  events: Events;
  tasks: Tasks;
  live: LiveRuns;
  bakeOffs: LiveBakeOffs;
  deletions: Deletions;
  thumbnails: Thumbnails;
  explore: ExploreHost;
  outside: Outside;
}

export type Handlers = { [C in Channel]: (input: Input<C>) => Result<C> | Promise<Result<C>> };

/** Those of one concern's channels. */
export type HandlersOf<Channels> = Pick<Handlers, Extract<keyof Channels, Channel>>;
