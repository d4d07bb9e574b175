import { call } from '../api.ts';

/** A folder from the system's dialog, or null where none was chosen; undefined where this window has no such dialog, and `FolderPicker` is to be shown. */
export async function systemFolder(): Promise<string | null | undefined> {
  const { shell } = await call('app.info', {});
  return shell === 'browser' ? undefined : (await call('folders.pick', {})).path;
}
