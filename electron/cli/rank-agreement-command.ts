import type { Command } from 'commander';
import { capital, NONE, plural } from '../../shared/words.ts';
import { agreementOf } from '../services/evaluation/agreement.ts';
import { withStore } from './context.ts';
import { table } from './table.ts';

/** Runs below which an order says little. */
const FEW = 24;

/** rank-agreement: what figures without labels are worth. */
export function addRankAgreementCommand(program: Command): void {
  program
    .command('rank-agreement')
    .description('whether figures without labels rank runs as their linear probes do')
    .action(
      withStore(async ({ out, store }) => {
        const found = agreementOf(store);
        const number = (value: number | null) => (value === null ? NONE : value.toFixed(2));
        const rows = found.map(({ title, runs, datasets, tau, interval }) => [
          ...[capital(title), String(runs), String(datasets.length), number(tau)],
          interval ? `${number(interval[0])} to ${number(interval[1])}` : NONE,
        ]);
        const most = Math.max(...found.map(({ runs }) => runs));
        const words = [
          ...(most < FEW
            ? [
                `${plural(most, 'run')} ${most === 1 ? 'has' : 'have'} a linear probe and figures without labels of one checkpoint: ` +
                  `fewer than ${FEW} say little. \`conmim compare-methods\` asks for both.`,
              ]
            : []),
          "Kendall's tau: 1 where a figure ranks runs of a dataset as linear probes do, 0 where it says nothing, -1 where it ranks",
          'them the other way round. Of uniformity and alignment less is better, so below 0. Of alpha-ReQ nearness to 1 is taken.',
          'The interval is of 95 %, by a bootstrap over runs.',
        ];
        out.result(
          { figures: found },
          `${table(['figure', 'runs', 'datasets', 'tau', 'interval'], rows)}\n${words.join('\n')}`,
        );
      }),
    );
}
