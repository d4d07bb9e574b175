import type { Published } from '../electron/engine/published.ts';
import { AppError } from '../shared/errors.ts';
import { METHODS } from './index.ts';
import { loadOf } from './load.ts';

/** Of a method without published files: what the workbench wrote itself, which says its configuration. */
const OWN_NAMES: Published = {
  keys: [],
  recognise: () => null,
  read: (file) => ({ student: file }),
  write: (state) => state,
  sizes() {
    throw new AppError(
      'bad-file',
      'The file does not say its sizes.',
      'This method has no published files by whose names they could be read.',
      'Name a file that export-weights wrote: it says its configuration.',
    );
  },
  assumes: {},
  parts: [],
};

const PUBLISHED = new Map(
  await Promise.all(
    METHODS.filter(({ published }) => published !== null).map(
      async ({ name }) => [name, (await loadOf<{ published: Published }>(name, 'published')).published] as const,
    ),
  ),
);

/** How files have the tensors of a method. */
export const publishedOf = ({ name }: { name: string }): Published => PUBLISHED.get(name) ?? OWN_NAMES;
