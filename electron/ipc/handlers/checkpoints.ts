import type { CHECKPOINTS } from '../../../shared/contract/checkpoints.ts';
import { typedPath } from '../../files/typed-path.ts';
import { runJob } from '../../services/ground/jobs.ts';
import type { Context, HandlersOf } from '../context.ts';

export function checkpointHandlers({ store, events, outside }: Context): HandlersOf<typeof CHECKPOINTS> {
  return {
    'checkpoints.delete': ({ id }) => {
      const run = store.checkpoints.runOf(id);
      const bytes = store.checkpoints.delete(id);
      events.emit({ type: 'checkpoint', run });
      return { bytes };
    },
    'weights.import': async ({ file, ...input }) => {
      const asked = { ...input, file: typedPath(file, 'the file') };
      await outside.look(asked.file);
      const job = { database: store.path, input: asked };
      const imported = await runJob('import-weights', job);
      events.emit({ type: 'runs' });
      return imported;
    },
  };
}
