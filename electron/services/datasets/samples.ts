import { join } from 'node:path';
import { ROOT } from '../../files/project.ts';

/** The images that come with the program (resources/sample/SOURCES.md names their sources). */
export const SAMPLES = [
  { name: 'sample-photos', folder: join(ROOT, 'resources', 'sample', 'photos'), labels: 'none' },
  { name: 'sample-drawings', folder: join(ROOT, 'resources', 'sample', 'clipart'), labels: 'folders' },
] as const;
