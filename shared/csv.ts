/** A line of CSV (RFC 4180), with its end: what holds a comma, a quote or a line end is quoted. */
export function csvLine(row: readonly unknown[]): string {
  const cell = (value: unknown) => {
    const text = value === null || value === undefined ? '' : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return `${row.map(cell).join(',')}\r\n`;
}

const FIGURE = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/**
 * Text that a spreadsheet would run as a formula gets an apostrophe in front (OWASP's advice on CSV injection): names of
 * runs and files can be anything. Numbers stay as they are.
 */
const asText = (value: unknown): unknown =>
  typeof value === 'string' && /^[=+\-@\t\r\n]/.test(value) && !FIGURE.test(value) ? `'${value}` : value;

/** A table for people, as CSV. Where programs are to read names back to the letter, `csvLine` writes them as they are. */
export const csv = (header: readonly string[], rows: readonly (readonly unknown[])[]): string =>
  [header, ...rows].map((row) => csvLine(row.map(asText))).join('');
