import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's folder: the built program stands one level deeper than its source. */
export const ROOT = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../../' : '../../../', import.meta.url));

/** The images that come with the program (resources/sample/SOURCES.md names their sources). */
export const SAMPLES = [
  { name: 'sample-photos', folder: join(ROOT, 'resources', 'sample', 'photos'), labels: 'none' },
  { name: 'sample-drawings', folder: join(ROOT, 'resources', 'sample', 'clipart'), labels: 'folders' },
] as const;
