const ASCII = /^[\0-\x7f]*$/;

/**
 * Text as it is compared in a search: É is found by é, an accent that is a sign of its own (as macOS writes names) by the
 * letter that has it, ß by SS.
 */
export const folded = (text: string): string =>
  ASCII.test(text) ? text.toLowerCase() : text.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFC');

/** A title as it stands in a sentence; names such as MAE stay as they are. */
export const lowerFirst = (text: string): string =>
  /^\p{Lu}[^\p{Lu}\s]*(\s|,|$)/u.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text;
