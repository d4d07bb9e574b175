import { METHODS } from '../../../methods/index.ts';
import { publishedOf } from '../../../methods/published.ts';
import { AppError } from '../../../shared/errors.ts';
import type { Method } from '../../../shared/method.ts';
import type { StateDict } from '../../../shared/tensors.ts';
import { capital } from '../../../shared/words.ts';
import type { Published } from '../../engine/published.ts';

/** A method whose file it may be, and how it names its tensors. */
export interface Candidate {
  method: Pick<Method, 'name' | 'title' | 'published'>;
  published: Pick<Published, 'recognise'>;
}

const CANDIDATES: readonly Candidate[] = METHODS.map((method) => ({ method, published: publishedOf(method) }));

/**
 * The method that trained tensors, by their names and positions: heads that it alone has, else an encoder as it alone
 * trains it.
 * @returns name of the method
 * @throws AppError bad-file where no method, or more than one, trains such
 */
export function recognise(tensors: StateDict, candidates: readonly Candidate[] = CANDIDATES): string {
  const seen = candidates.map((one) => ({ ...one.method, by: one.published.recognise(tensors) }));
  const byHeads = seen.filter(({ by }) => by === 'method');
  const found = byHeads.length > 0 ? byHeads : seen.filter(({ by }) => by === 'encoder');
  if (found.length === 1) return found[0]!.name;
  const say = 'say whose they are: *Method* in the window, `--method` on the command line';
  if (found.length > 1) {
    throw new AppError(
      'bad-file',
      `These weights may be of ${found.map(({ title }) => title).join(' or ')}.`,
      byHeads.length > 0
        ? 'The file has heads of each of them.'
        : 'Each of them trains such an encoder, and the file has no heads that would tell them apart.',
      `${capital(say)} (${found.map(({ name }) => name).join(', ')}).`,
    );
  }
  const known = candidates.flatMap(({ method: { title, published } }) =>
    published ? [`${title} (${published.code}) has ${published.knownBy}`] : [],
  );
  throw new AppError(
    'bad-file',
    'No method that is known here has trained these weights.',
    `${known.join('; ')}.`,
    `Name a file of one of them; or, for any other Vision Transformer, ${say}.`,
  );
}
