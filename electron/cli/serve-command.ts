import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { AppError } from '../../shared/errors.ts';
import { openProgram } from '../ipc/program.ts';
import { ROOT } from '../services/sample.ts';
import { browserShell, serve } from '../shell/browser.ts';
import { homeFolder, withOutput } from './context.ts';
import { wholeNumber } from './output.ts';

const PORT = 4317;

/** serve. */
export function addServeCommand(program: Command): void {
  program
    .command('serve')
    .description('show the window in a browser, on this machine or through a tunnel; Ctrl-C pauses runs and ends it')
    .option('--port <n>', 'port of 127.0.0.1; 0 takes any', wholeNumber('--port', 0), PORT)
    .option('--open', 'open the browser of this machine')
    .option('--keep-training', 'when it ends, the run that is going on goes on alone')
    .action(
      withOutput(async (out, command, options) => {
        const files = join(ROOT, 'out', 'renderer');
        if (!existsSync(join(files, 'index.html')))
          throw new AppError('not-found', 'The window is not built.', '', 'Run `npm run setup`.');
        const shown = await openProgram({ home: homeFolder(command), shell: browserShell });
        const ended = new Promise<void>((resolve) => {
          process.once('SIGINT', () => resolve());
          process.once('SIGTERM', () => resolve());
        });
        try {
          const served = await serve({ program: shown, files, port: options.port as number });
          out.result(
            { url: served.url, port: served.port },
            [
              `Open ${served.url}`,
              'From another machine, first: ' +
                `ssh -L ${served.port}:127.0.0.1:${served.port} THIS-MACHINE   (then the same address there)`,
              'Ctrl-C ends it.',
            ].join('\n'),
          );
          if (options.open) await (await import('open')).default(served.url);
          await ended;
          await served.close();
        } finally {
          const running = shown.runningRuns();
          const keep = options.keepTraining === true;
          for (const { name } of running) out.note(keep ? `"${name}" goes on alone.` : `Pausing "${name}" …`);
          await shown.close(keep ? 'keep' : 'pause');
        }
      }),
    );
}
