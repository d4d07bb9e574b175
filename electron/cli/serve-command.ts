import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { AppError } from '../../shared/errors.ts';
import { writeWhole } from '../files/files.ts';
import { ROOT } from '../files/project.ts';
import { openProgram } from '../ipc/program.ts';
import { storedToken } from '../shell/access.ts';
import { browserShell, type Served, serve } from '../shell/browser.ts';
import { homeFolder, withOutput } from './context.ts';
import { interruption } from './interruption.ts';
import { type Output, wholeNumber } from './output.ts';

const PORT = 4317;

/** serve. */
export function addServeCommand(program: Command): void {
  program
    .command('serve')
    .description('show the window in a browser, on this machine or through a tunnel; Ctrl-C pauses runs and ends it')
    .option('--port <n>', 'port of 127.0.0.1; 0 takes any', wholeNumber('--port', 0), PORT)
    .option('--open', 'open the browser of this machine')
    .option('--new-token', 'make a new address; browsers that know the old one are locked out')
    .option('--keep-training', 'leave the current run training when this command ends')
    .action(
      withOutput(async (out, command, options) => {
        const files = join(ROOT, 'out', 'renderer');
        if (!existsSync(join(files, 'index.html')))
          throw new AppError('not-found', 'The window is not built.', '', 'Run `npm run setup`.');
        const home = homeFolder(command);
        const shown = await openProgram({ home, shell: browserShell });
        interruption.wait(); // runs save themselves, however long that takes
        const { signal } = interruption;
        const ended = new Promise<void>((resolve) => {
          if (signal.aborted) resolve();
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
        try {
          const token = storedToken(home, options.newToken === true);
          const served = await serve({ program: shown, files, port: options.port as number, token });
          out.result(
            { url: served.url, port: served.port },
            [
              `Open ${served.url}`,
              'From another machine, first: ' +
                `ssh -L ${served.port}:127.0.0.1:${served.port} THIS-MACHINE   (then the same address there)`,
              'Ctrl-C ends it.',
            ].join('\n'),
          );
          const way = options.open ? await openBrowser(served, home, out) : null;
          await ended;
          await served.close();
          if (way) rmSync(way, { force: true });
        } finally {
          const running = shown.runningRuns();
          const keep = options.keepTraining === true;
          for (const { name } of running) out.note(keep ? `"${name}" goes on alone.` : `Pausing "${name}" …`);
          await shown.close(keep ? 'keep' : 'pause');
        }
      }),
    );
}

/**
 * Opens the browser by a file that leads on. The address itself holds the token, and every user of the machine can read
 * the arguments of a program.
 * @returns the file
 */
async function openBrowser({ url, port }: Served, home: string, out: Output): Promise<string> {
  const file = join(home, `open-${port}.html`);
  const page =
    `<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=${url}"><title>ConMIM ` +
    `Workbench</title><a href="${url}">Open the window</a>\n`;
  writeWhole(file, [Buffer.from(page)], { replace: true, mode: 0o600 });
  try {
    await (await import('open')).default(file);
  } catch (error) {
    out.note(`The browser could not be opened (${(error as Error).message}). Open the address above by hand.`);
  }
  return file;
}
