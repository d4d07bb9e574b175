import { type Answer, CHANNELS, type Channel } from '../../shared/contract/index.ts';
import { AppError, toReport } from '../../shared/errors.ts';
import { LiveBakeOffs } from '../services/bakeoff/live.ts';
import { Thumbnails } from '../services/datasets/thumbnails.ts';
import { EvaluationQueue } from '../services/evaluation/queue.ts';
import { ExploreHost } from '../services/explore/host.ts';
import { Events } from '../services/ground/events.ts';
import { Outside } from '../services/ground/outside.ts';
import { Tasks } from '../services/ground/tasks.ts';
import { Deletions } from '../services/ground/undo.ts';
import { checkDatabase } from '../services/machine/check-database.ts';
import { LiveRuns } from '../services/runs/live.ts';
import type { Media, Program, Shell } from '../shell/shell.ts';
import { isCheckDue } from '../store/check.ts';
import { databaseIn } from '../store/home.ts';
import { Store } from '../store/store.ts';
import type { Handlers } from './context.ts';
import { handlers } from './handlers/index.ts';

/** What a shell shows, and how it ends. */
export interface OpenProgram extends Program {
  readonly session: string;
  readonly seq: number;
  runningRuns(): { id: number; name: string; step: number; total_steps: number }[];
  /** Runs that this program started pause, go on alone, or stop. */
  close(mode: 'pause' | 'keep' | 'stop'): Promise<void>;
}

export interface ProgramOptions {
  home: string;
  shell: Shell;
  /** For tests. */
  outside?: Outside;
}

/** The program behind a window. @throws AppError as `Store.open` */
export async function openProgram({ home, shell, outside = new Outside() }: ProgramOptions): Promise<OpenProgram> {
  const database = databaseIn(home);
  const isUnchecked = isCheckDue(database);
  const store = Store.open(database);
  const events = new Events();
  const deletions = new Deletions(events);
  const tasks = new Tasks(events);
  checkDatabase(database, tasks, isUnchecked);
  const evaluations = new EvaluationQueue(store, events, tasks, deletions);
  const live = new LiveRuns(store, events, deletions, evaluations);
  const bakeOffs = new LiveBakeOffs(store, tasks, live);
  const thumbnails = new Thumbnails(store, home, outside);
  const explore = new ExploreHost(store.path);
  const answers = handlers({
    home,
    shell,
    store,
    events,
    tasks,
    live,
    bakeOffs,
    deletions,
    thumbnails,
    explore,
    outside,
  });
  return {
    session: events.session,
    get seq() {
      return events.seq;
    },
    call: (channel, input) => answer(answers, channel, input),
    since: (seq) => events.since(seq),
    listen: (listener) => events.listen(listener),
    media: (path) => media(thumbnails, path),
    made: (task) => tasks.made(task),
    runningRuns: () => live.running().map(({ id, name, step, total_steps }) => ({ id, name, step, total_steps })),
    async close(mode) {
      const faults: unknown[] = [];
      // Each, whatever becomes of the one before: a process or file would stay else.
      for (const end of [
        ...[() => evaluations.close(), () => tasks.close(), () => explore.close(), () => outside.close()],
        () => thumbnails.close(),
        ...[() => live.close(mode), () => deletions.close(), () => store.close()],
      ]) {
        try {
          await end();
        } catch (error) {
          faults.push(error);
        }
      }
      if (faults.length > 0) throw faults[0];
    },
  };
}

/** The one place where what a window sends is checked. Never rejects. */
async function answer(answers: Handlers, channel: string, input: unknown): Promise<Answer> {
  try {
    if (!Object.hasOwn(CHANNELS, channel)) throw new AppError('bad-input', `There is no channel "${channel}".`);
    const name = channel as Channel;
    if (!isPlain(input)) throw new AppError('bad-input', 'The request cannot be used: it is not an object.');
    const parsed = CHANNELS[name].input.safeParse(input);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      const at = issue!.path.join('.');
      throw new AppError('bad-input', `${at || 'The request'} cannot be used: ${issue!.message}.`);
    }
    const handle = answers[name] as (checked: unknown) => unknown;
    return { ok: true, value: await handle(parsed.data) };
  } catch (error) {
    const report = toReport(error);
    if (report.kind === 'internal') process.stderr.write(`${channel}: ${(error as Error).stack ?? error}\n`);
    return { ok: false, error: report };
  }
}

/** A Map or a Date is an object without keys to a schema, and would pass for an empty one. */
const isPlain = (value: unknown) =>
  typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value));

/** `thumb/ID` or `image/ID`, with the beginning of the content's hash where the window knows it: that address is final. */
async function media(thumbnails: Thumbnails, path: string): Promise<Media> {
  const [, kind, id, known] = /^(thumb|image)\/([1-9]\d{0,14})(?:\/([0-9a-f]{16}))?$/.exec(path) ?? [];
  const nothing: Media = { status: 404, type: 'text/plain', body: new Uint8Array(), tag: null, isFinal: false };
  if (!kind) return nothing;
  try {
    const { body, hash } = await (kind === 'thumb' ? thumbnails.thumbnail(Number(id)) : thumbnails.picture(Number(id)));
    const isFinal = hash !== null && known !== undefined && hash.startsWith(known);
    return { status: 200, type: 'image/webp', body, tag: hash, isFinal };
  } catch {
    return nothing; // the window draws a sign in its place; the dataset's screen says what is missing
  }
}
