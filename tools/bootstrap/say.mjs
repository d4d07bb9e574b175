/** What a user can act on, in one sentence. */
export class Sentence extends Error {}

// A reader that has gone (`npm run demo 2>&1 | head`) is no fault: what was asked for goes on.
process.stderr.on('error', () => {});

export const say = (text) => process.stderr.write(`${text}\n`);

const WIDTH = 28;
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;

/**
 * A bar on a terminal, a line at the beginning elsewhere.
 * @param {string} title @param {number | null} total bytes, where they are known
 */
export function progress(title, total) {
  const tty = process.stderr.isTTY && process.env.TERM !== 'dumb';
  if (!tty) say(`${title} …`);
  return {
    at(bytes) {
      if (!tty) return;
      const share = total ? Math.min(1, bytes / total) : null;
      const bar = share === null ? '' : `[${'#'.repeat(Math.round(share * WIDTH)).padEnd(WIDTH, '.')}] `;
      process.stderr.write(
        `\r\x1b[2K${title} ${bar}${bytes > 0 ? megabytes(bytes) : ''}${total && bytes > 0 ? ` of ${megabytes(total)}` : ''}`,
      );
    },
    done() {
      if (tty) process.stderr.write(`\r\x1b[2K${title}: done\n`);
    },
  };
}
