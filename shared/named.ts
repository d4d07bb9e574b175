/** At most this many names are given; of the rest only their number. */
const MOST = 3;

/** Names in a sentence: `"a", "b"`, and of many the first: `"a", "b", "c" and 4 more`. */
export function named(names: readonly string[]): string {
  const said = names.slice(0, MOST).map((name) => `"${name}"`);
  return names.length > MOST ? `${said.join(', ')} and ${names.length - MOST} more` : said.join(', ');
}
