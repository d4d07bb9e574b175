import { hostname, platform } from 'node:os';
import type { WINDOW } from '../../../shared/contract/window.ts';
import { AppError } from '../../../shared/errors.ts';
import { VERSION } from '../../files/project.ts';
import { listFolder } from '../../services/machine/folder-listing.ts';
import type { Context, HandlersOf } from '../context.ts';

export function windowHandlers({ home, shell, outside }: Context): HandlersOf<typeof WINDOW> {
  return {
    'app.info': () => ({ version: VERSION, shell: shell.kind, home, platform: platform(), host: hostname() }),
    'folders.pick': async () => {
      if (!shell.pickFolder) throw new AppError('not-found', 'This window has no dialog of the system.');
      return { path: await shell.pickFolder() };
    },
    'folders.list': ({ path }) => listFolder(outside, path),
  };
}
