import { parseRunConfig } from '../../../methods/index.ts';
import { type BakeOffSummary, type Column, ENCODER_KEYS, type TableRow } from '../../../shared/bakeoff.ts';
import { budgetWords, intervalOf, meanOf, shownIn } from '../../../shared/bakeoff-words.ts';
import { escapeXml } from '../../../shared/chart-svg.ts';
import { LEVEL } from '../../../shared/statistics.ts';
import { count, dayAndTime, duration, NONE, plural, setting } from '../../../shared/words.ts';
import { VERSION } from '../../files/project.ts';
import { differences } from '../recipes/configuration.ts';

const STYLE = `:root{color-scheme:light dark;--text:#1d2126;--quiet:#59626c;--ground:#fff;--panel:#f5f6f8;--line:#d5d9de;--mark:#0a63a8}
@media(prefers-color-scheme:dark){:root{--text:#e6e8ea;--quiet:#a5adb5;--ground:#16191d;--panel:#1f2429;--line:#3a4149;--mark:#62b3f0}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--ground);max-width:1100px;margin:0 auto;padding:24px}
h1{font-size:24px;margin:0 0 4px;overflow-wrap:anywhere}h2{font-size:18px;margin:32px 0 8px}.quiet{color:var(--quiet)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:5px 10px;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
.n{text-align:right;font-variant-numeric:tabular-nums}td.n{white-space:nowrap}th[scope=row],.pair{min-width:9em}small{display:block;color:var(--quiet)}
.finding{background:var(--panel);border-left:4px solid var(--quiet);padding:8px 14px;margin:8px 0;border-radius:6px}
figure{margin:12px 0}svg{max-width:100%;height:auto;display:block}svg text{fill:var(--text);font:12px system-ui,sans-serif}
svg .line{stroke:var(--line)}svg .mark{stroke:var(--mark);fill:var(--mark)}
@media print{.finding,figure,tr{break-inside:avoid}}`;

/** A bake-off as one HTML document that needs nothing beside it, and names no folder of this machine. */
export function bakeOffPage(summary: BakeOffSummary): string {
  const e = escapeXml;
  const { name, asked, plan, columns, rows, pairs, findings, notices, runs, state, done, total } = summary;
  const main = columns.filter(({ isMain }) => isMain);
  const table = (header: readonly string[], body: readonly string[]) =>
    `<div class="scroll"><table><thead><tr>${header.join('')}</tr></thead><tbody>\n${body.join('\n')}\n</tbody></table></div>`;
  const cellOf = (column: Column, row: TableRow) => {
    const cell = row.cells[column.key];
    if (!cell) return `<td class="n">${NONE}</td>`;
    const interval = intervalOf(column, cell);
    const seeds = cell.values[0]!.seed === null ? 'no seed' : plural(cell.spread.n, 'seed');
    return `<td class="n">${e(meanOf(column, cell))}<small>${e(interval ? `${interval}; ${seeds}` : seeds)}</small></td>`;
  };
  const figures = (some: readonly Column[]) =>
    table(
      ['<th></th>', ...some.map(({ title, about }) => `<th class="n" title="${e(about)}">${e(title)}</th>`)],
      rows.map((row) => `<tr><th scope="row">${e(row.title)}</th>${some.map((one) => cellOf(one, row)).join('')}</tr>`),
    );
  const judged = main.filter(({ scale }) => scale === 'share');
  const facts: [string, string][] = [
    ['Images', `${plan.dataset}: ${count(plan.images)} to pretrain on`],
    ['Test images', asked.test_dataset === null ? 'about a fifth of each class, always the same' : plan.test_dataset],
    ['Encoder', ENCODER_KEYS.map((key) => `${key} ${asked.encoder[key]}`).join(', ')],
    ['Budget of a run', budgetWords(asked.budget)],
    ['Seeds', String(asked.seeds)],
    ...(plan.supervised_epochs === null
      ? []
      : [['Training with labels', plural(plan.supervised_epochs, 'epoch')] as [string, string]]),
    ...(asked.finetune === null ? [] : [['Fine-tuning', plural(asked.finetune, 'epoch')] as [string, string]]),
    ...(plan.seconds === null ? [] : [['Planned to take', duration(1000 * plan.seconds)] as [string, string]]),
    ['Done', `${done} of ${total} runs and evaluations${state === 'finished' ? '' : ': figures are of what is done'}`],
  ];
  const entries = plan.entries.map(({ title, preset, steps, images, config }) => {
    const changed = differences(parseRunConfig({ method: config.method }), parseRunConfig(config))
      .filter(({ key }) => !['train.steps', 'train.seed'].includes(key))
      .map(({ key, value }) => `${key}=${setting(value)}`);
    const cells = [title, preset, `${plural(steps ?? 0, 'step')}, ${plural(images ?? 0, 'image')}`, changed.join(' ')];
    return `<tr>${cells.map((cell) => `<td>${e(cell)}</td>`).join('')}</tr>`;
  });
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Bake-off ${e(name)}</title><style>${STYLE}</style></head>
<body><main>
<h1>Bake-off ${e(name)}</h1>
<p class="quiet">ConMIM Workbench ${e(VERSION)}; begun ${e(dayAndTime(summary.created_at))}.</p>
<h2>What it says</h2>
${findings.length === 0 ? '<p>Nothing has been evaluated yet.</p>' : findings.map((text) => `<p class="finding">${e(text)}</p>`).join('\n')}
<h2>Figures</h2>
${figures(main)}
<p class="quiet">Mean ± standard deviation over seeds; below it where the mean lies with 95 % confidence, by Student's t.</p>
${judged.map((column) => dots(column, rows)).join('\n')}
<h2>Who differs from whom</h2>
${
  pairs.length === 0
    ? '<p>No two rows have figures of one seed yet.</p>'
    : table(
        ['<th>Figure</th>', '<th>Pair</th>', '<th class="n">Difference by seed, points</th>', '<th>In words</th>'],
        pairs.map(
          ({ column, a, b, differences: by, words }) =>
            `<tr><td>${e(columns.find(({ key }) => key === column)!.title)}</td><td class="pair">${e(a)} − ${e(b)}</td>` +
            `<td class="n">${by.map((d) => (100 * d).toFixed(1)).join('<br>')}</td><td>${e(words)}</td></tr>`,
        ),
      )
}
<p class="quiet">A permutation test of the differences by seed, exact and two-sided. Each p is of its pair alone: of many
pairs that are alike, one in twenty has a p below ${LEVEL} by chance.</p>
<h2>How it was done</h2>
${table(
  [],
  facts.map(([what, text]) => `<tr><th scope="row">${e(what)}</th><td>${e(text)}</td></tr>`),
)}
${notices.map((text) => `<p>${e(text)}</p>`).join('\n')}
<h2>Methods, and settings that differ from their defaults</h2>
${table(['<th>Method</th>', '<th>Preset</th>', '<th>Run</th>', '<th>Settings</th>'], entries)}
<h2>All figures</h2>
${figures(columns)}
<h2>Runs</h2>
${table(
  ['<th>Run</th>', '<th>Seed</th>', '<th>State</th>'],
  runs.map(
    (run) =>
      `<tr><td>${e(run.name)}</td><td>${run.seed}</td><td>${run.status}, step ${count(run.step)} of ${count(run.total_steps)}</td></tr>`,
  ),
)}
<h2>What the rows are</h2>
<p>Each method's rows are its networks after the budget, one for each seed. <em>Untrained</em> is the network before its first
step: where methods begin as different ones, in how they know places and how weights are drawn, each has a row.
<em>With labels, from scratch</em> is the same encoder trained with labels alone, as long as it takes to see the budget's
images. <em>Raw pixels</em> are images of 16 pixels a side in place of features.</p>
</main></body></html>
`;
}

/** A column as a picture: every seed a dot, the mean a bar, its interval a line. */
function dots(column: Column, rows: readonly TableRow[]): string {
  const known = rows.filter(({ cells }) => cells[column.key]);
  if (known.length === 0) return '';
  const [left, width, height] = [240, 560, 26];
  const values = known.flatMap(({ cells }) => {
    const { values: some, spread } = cells[column.key]!;
    return [...some.map(({ value }) => value), ...(spread.interval ?? [])];
  });
  const [least, most] = [Math.max(0, Math.min(...values)), Math.min(1, Math.max(...values))];
  const x = (value: number) =>
    (left + (width * (Math.min(most, Math.max(least, value)) - least)) / Math.max(1e-9, most - least)).toFixed(1);
  const lines = known.map((row, i) => {
    const { values: some, spread } = row.cells[column.key]!;
    const y = i * height + height / 2;
    const title = row.title.length > 34 ? `${row.title.slice(0, 33)}…` : row.title;
    const interval = spread.interval
      ? `<line class="mark" x1="${x(spread.interval[0])}" x2="${x(spread.interval[1])}" y1="${y}" y2="${y}" stroke-width="1.5"/>`
      : '';
    const points = some.map(
      ({ value }) => `<circle class="mark" cx="${x(value)}" cy="${y}" r="3" fill-opacity="0.5"/>`,
    );
    const mean = `<line class="mark" x1="${x(spread.mean)}" x2="${x(spread.mean)}" y1="${y - 8}" y2="${y + 8}" stroke-width="3"/>`;
    const label = `<text x="${left - 12}" y="${y + 4}" text-anchor="end">${escapeXml(title)}</text>`;
    return `<line class="line" x1="${left}" x2="${left + width}" y1="${y}" y2="${y}"/>${interval}${points.join('')}${mean}${label}`;
  });
  const bottom = known.length * height + 16;
  const axis = [least, (least + most) / 2, most]
    .map((value) => `<text x="${x(value)}" y="${bottom}" text-anchor="middle">${shownIn(column, value)}</text>`)
    .join('');
  const title = escapeXml(column.title);
  return `<figure><figcaption>${title}</figcaption>
<svg role="img" aria-label="${title} by row" viewBox="0 0 ${left + width + 40} ${bottom + 8}">${lines.join('')}${axis}</svg></figure>`;
}
