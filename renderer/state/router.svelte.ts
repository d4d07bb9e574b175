import { wholeFrom } from './query.ts';

/**
 * The address holds what a window shows: `#/runs/3?from=100`. Reload, back and a second window show the same.
 */
export interface Route {
  /** `['runs', '3']` */
  parts: string[];
  query: Record<string, string>;
}

/** A part of an address; one that was cut or typed wrongly stays as it is, and is then no screen's. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Addresses of earlier programs: comparing is Runs with some of them chosen. */
const OLD = /^#\/?compare(?=$|[/?])\??/;

function read(): Route {
  if (OLD.test(location.hash)) history.replaceState(null, '', location.hash.replace(OLD, '#/runs?view=curves&'));
  const [path = '', search = ''] = location.hash.replace(/^#\/?/, '').split('?');
  return {
    parts: path.split('/').filter(Boolean).map(decoded),
    query: Object.fromEntries(new URLSearchParams(search)),
  };
}

let current = $state<Route>(read());
let visits = $state(0);
window.addEventListener('hashchange', () => {
  current = read();
  visits++;
});

export const route = {
  get parts() {
    return current.parts;
  },
  get query() {
    return current.query;
  },
  /** Rises when a link is followed, even to the address that is there; not when a screen changes its own query. */
  get visits() {
    return visits;
  },
  /** The id behind the screen's name, or null. */
  get id(): number | null {
    return wholeFrom(current.parts[1], 1);
  },
};

/** The address of a screen, for links. Null and empty values are left out. */
export function href(path: string, query: Record<string, string | number | null | undefined> = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') search.set(key, String(value));
  }
  const text = search.toString().replaceAll('%2C', ','); // it means itself there, and lists of ids stay readable
  return `#/${path}${text ? `?${text}` : ''}`;
}

/** Goes to a screen. */
export function go(path: string, query: Record<string, string | number | null | undefined> = {}): void {
  location.hash = href(path, query);
}

/** Changes the query of the address without a step in the history: for sliders and search fields. */
export function setQuery(changes: Record<string, string | number | null | undefined>): void {
  const address = href(current.parts.map(encodeURIComponent).join('/'), { ...current.query, ...changes });
  history.replaceState(null, '', address);
  current = read();
}
