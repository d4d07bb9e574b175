/** A line of CSV (RFC 4180), with its end: what holds a comma, a quote or a line end is quoted. */
export function csvLine(row: readonly unknown[]): string {
  const cell = (value: unknown) => {
    const text = value === null || value === undefined ? '' : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return `${row.map(cell).join(',')}\r\n`;
}

/** A table as CSV. */
export const csv = (header: readonly string[], rows: readonly (readonly unknown[])[]): string =>
  [header, ...rows].map(csvLine).join('');
