import { distance } from 'fastest-levenshtein';
import { AppError } from '../../shared/errors.ts';
import { ambiguity, MOST_NAME, nameSchema } from '../../shared/names.ts';
import { printable } from '../../shared/printable.ts';
import type { Db } from './open.ts';

type Kind = 'dataset' | 'run' | 'bake-off';
const TABLE = { dataset: 'datasets', run: 'runs', 'bake-off': 'bake_offs' } as const;

/** The id of a dataset or run by id, digits of an id, or name. @throws AppError not-found, with near names */
export function resolveId(db: Db, kind: Kind, idOrName: number | string): number {
  const byId = typeof idOrName === 'number' || /^\d+$/.test(idOrName);
  const column = byId ? 'id' : 'name';
  const ask = db.prepare(`SELECT id FROM ${TABLE[kind]} WHERE ${column} = ?`).pluck();
  // As it was given, for names of old; else as such a name is stored.
  const found = byId ? ask.get(Number(idOrName)) : (ask.get(idOrName) ?? ask.get(idOrName.normalize('NFC').trim()));
  if (found !== undefined) return Number(found);
  const names = db.prepare(`SELECT name FROM ${TABLE[kind]} ORDER BY id DESC`).pluck().all() as string[];
  const near = byId ? [] : nearest(idOrName, names); // a number is near to no name
  const why =
    names.length === 0
      ? `There are no ${kind}s yet.`
      : near.length > 0
        ? `Near: ${near.map((n) => `"${n}"`).join(', ')}.`
        : `There are: ${names
            .slice(0, 5)
            .map((n) => `"${n}"`)
            .join(', ')}${names.length > 5 ? ', …' : ''}.`;
  const what = `There is no ${kind} ${byId ? idOrName : `"${idOrName}"`}.`;
  throw new AppError('not-found', what, why, 'Check its name or number.');
}

/** Up to three names that a typing mistake could have meant. */
function nearest(wanted: string, names: string[]): string[] {
  const lower = wanted.toLowerCase();
  return names
    .map((name) => {
      const other = name.toLowerCase();
      const contains = lower !== '' && (other.includes(lower) || lower.includes(other));
      return { name, off: contains ? 0 : distance(lower, other) };
    })
    .filter(({ off }) => off <= Math.max(2, wanted.length / 3))
    .sort((a, b) => a.off - b.off)
    .slice(0, 3)
    .map(({ name }) => name);
}

/**
 * Refuses a name that could not be told from an id, that cannot be shown, or that is taken.
 * @returns the name as it is stored
 */
export function requireFreeName(db: Db, kind: Kind, text: string): string {
  const parsed = nameSchema.safeParse(text);
  const why = parsed.success ? ambiguity(kind, parsed.data) : `It ${parsed.error.issues[0]!.message}.`;
  if (!parsed.success || why) {
    const shown = printable(text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text);
    throw new AppError('bad-input', `A ${kind} cannot be named "${shown}".`, why ?? '', 'Choose another name.');
  }
  if (isTaken(db, kind, parsed.data))
    throw new AppError('conflict', `There is a ${kind} named "${parsed.data}" already.`, '', 'Choose another name.');
  return parsed.data;
}

/** The error for an edit whose starting point has changed: writing it would undo somebody else's edit. */
export const changedElsewhere = (what: string): AppError =>
  new AppError('changed', `${what} changed elsewhere meanwhile.`, '', 'Look at it, and say which one counts.');

/** Letters of a name that is refused. */
const MOST_SHOWN = 60;

/** The first of `base`, `base 2`, `base 3`, … that is free; `base` is shortened where the name would be too long. */
export function freeName(db: Db, kind: Kind, base: string): string {
  const shown = printable(base).normalize('NFC').trim();
  for (let i = 1; ; i++) {
    const ending = i === 1 ? '' : ` ${i}`;
    const room = MOST_NAME - ending.length;
    const name = (shown.length > room ? `${cut(shown, room - 1)}…` : shown) + ending;
    if (!isTaken(db, kind, name)) return name;
  }
}

/** Never half of a character. */
const cut = (text: string, most: number) =>
  text
    .slice(0, most)
    .replace(/[\ud800-\udbff]$/, '')
    .trimEnd();

const isTaken = (db: Db, kind: Kind, name: string) =>
  db.prepare(`SELECT 1 FROM ${TABLE[kind]} WHERE name = ?`).get(name) !== undefined;
