import type { Input } from '../../../shared/contract/index.ts';
import type { ImageRow } from '../../../shared/dataset.ts';
import { type AppError, call } from '../../api.ts';
import { sayError } from '../../state/toasts.svelte.ts';

export type ImageQuery = Omit<Input<'images.page'>, 'offset' | 'limit'>;
const PAGE = 200;

/** The images of a query, asked for page by page as they come into sight. */
export class Pages {
  total = $state(0);
  /** Of the query: another one begins anew. */
  key = $state('');
  /** Rises when everything in sight must be asked again. */
  version = $state(0);
  readonly #pages = $state<Record<number, ImageRow[]>>({});
  readonly #asked = new Set<number>();
  #query: ImageQuery | null = null;

  /** Begins anew where the query is another, or has to be asked again. */
  show(query: ImageQuery, again = false): void {
    const key = JSON.stringify(query);
    if (key === this.key && !again) return;
    this.#query = query;
    this.#asked.clear();
    if (key !== this.key) {
      for (const page of Object.keys(this.#pages)) delete this.#pages[Number(page)];
      this.total = 0;
    }
    this.key = key;
    this.version++;
    void this.#ask(0);
  }

  at(index: number): ImageRow | undefined {
    return this.#pages[Math.floor(index / PAGE)]?.[index % PAGE];
  }

  /** The image at a place, asked for where it is not known yet. */
  async fetch(index: number): Promise<ImageRow | undefined> {
    await this.#ask(Math.floor(index / PAGE));
    return this.at(index);
  }

  /** Images `from` to before `to` are in sight. */
  want(from: number, to: number): void {
    this.version;
    for (let page = Math.floor(from / PAGE); page * PAGE < Math.min(to, this.total); page++) void this.#ask(page);
  }

  async #ask(page: number) {
    const query = this.#query;
    if (!query || this.#asked.has(page)) return;
    this.#asked.add(page);
    try {
      const { total, images } = await call('images.page', { ...query, offset: page * PAGE, limit: PAGE });
      if (query !== this.#query) return; // another one was begun meanwhile
      this.total = total;
      this.#pages[page] = images;
    } catch (error) {
      this.#asked.delete(page);
      if ((error as AppError).kind !== 'not-found') sayError(error); // the dataset's screen says that it is not there
    }
  }
}
