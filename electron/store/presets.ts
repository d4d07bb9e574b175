import type { RunConfig } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
import { errorsOf, orElse, type RowError } from './json.ts';
import { type Db, write } from './open.ts';
import { storedConfig } from './stored-config.ts';

/** A recipe that a user saved: complete, so that a later version of the preset it came from does not change it. */
export interface SavedPreset {
  name: string;
  title: string;
  /** The preset that it was made from. */
  based_on: string;
  config: RunConfig;
  created_at: number;
}

type Row = Omit<SavedPreset, 'config'> & { config: string };

const toPreset = (row: Row): SavedPreset => ({
  ...row,
  config: storedConfig(row.config, {
    row: `preset "${row.name}"`,
    column: 'presets.config',
    last: 'If neither can be done, save another preset by this name.',
  }),
});

export class Presets {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** Those that can be read. */
  list(): SavedPreset[] {
    return this.#rows().flatMap((row) =>
      orElse(
        () => [toPreset(row)],
        () => [],
      ),
    );
  }

  /** What is wrong with those that cannot be read. */
  unreadable(): Generator<RowError> {
    return errorsOf(this.#rows(), toPreset);
  }

  #rows(): Row[] {
    return this.#db.prepare('SELECT * FROM presets ORDER BY created_at, name').all() as Row[];
  }

  /** Whether there is one of this name, which may be damaged. */
  has(name: string): boolean {
    return this.#db.prepare('SELECT 1 FROM presets WHERE name = ?').get(name) !== undefined;
  }

  /** Saves a recipe; one of this name is replaced. */
  save(preset: Omit<SavedPreset, 'created_at'>): void {
    write(this.#db, () =>
      this.#db
        .prepare('INSERT OR REPLACE INTO presets VALUES (@name, @title, @based_on, @config, @created_at)')
        .run({ ...preset, config: JSON.stringify(preset.config), created_at: Date.now() }),
    );
  }

  /** @throws AppError not-found */
  delete(name: string): void {
    const { changes } = write(this.#db, () => this.#db.prepare('DELETE FROM presets WHERE name = ?').run(name));
    if (changes === 0) throw new AppError('not-found', `There is no saved preset "${name}".`);
  }
}
