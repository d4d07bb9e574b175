import type { RunConfig } from '../../shared/config.ts';
import { AppError } from '../../shared/errors.ts';
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

export class Presets {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  list(): SavedPreset[] {
    const rows = this.#db.prepare('SELECT * FROM presets ORDER BY created_at, name').all();
    return (rows as (Omit<SavedPreset, 'config'> & { config: string })[]).map((row) => ({
      ...row,
      config: storedConfig(row.config, { row: `preset "${row.name}"`, column: 'presets.config' }),
    }));
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
