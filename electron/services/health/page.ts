import { healthOf } from '../../../methods/health.ts';
import { parseRunConfig } from '../../../methods/index.ts';
import { chartSvg, escapeXml } from '../../../shared/chart-svg.ts';
import type { HealthReport, NetworkHealth, SetHealth } from '../../../shared/health.ts';
import { leftOutWords } from '../../../shared/left-out.ts';
import { capital, count } from '../../../shared/words.ts';
import { VERSION } from '../../files/project.ts';
import type { Store } from '../../store/store.ts';
import { curveSvg } from '../export/curve.ts';
import { differences } from '../recipes/configuration.ts';
import { findingsOf } from './health.ts';

const SIGN = { good: '✓', note: 'ℹ', bad: '⚠' };
const LEVEL = { good: 'Good', note: 'Note', bad: 'Bad' };

/** A row of the table: what it is, of each network, and what to hold it against. */
type Row = [title: string, trained: string, untrained: string, against: string];

/** Rows of a set of features. @param title what they are called, in the plural @param the the same, with an article */
function rowsOf({ trained, untrained, images }: HealthReport, key: string, title: string, the: string): Row[] {
  const [of, before] = [trained.sets[key]!, untrained.sets[key]!];
  const row = (name: string, words: (set: SetHealth) => string, against: string): Row => [
    ...([name, words(of), words(before), against] as const),
  ];
  const isOfImages = key === IMAGES;
  return [
    row(
      `Effective rank of ${the}`,
      ({ rank }) => rank.toFixed(1),
      `${of.width} dimensions${isOfImages ? `, ${images} images` : ''}`,
    ),
    row(`Mean cosine of two ${title}`, ({ cosine }) => cosine.toFixed(3), '0 spread evenly, 1 collapsed'),
    row(`Uniformity of ${the}`, (set) => set.uniformity.toFixed(3), '0 collapsed, −4 the limit'),
    ...(isOfImages ? [] : [row(`Dead dimensions of ${the}`, ({ dead }) => String(dead), `of ${of.width}`)]),
  ];
}
const IMAGES = 'images';

/** Of every report; a method has its own besides. */
const MEANINGS: readonly (readonly [string, string])[] = [
  [
    'Effective rank',
    'exp of the entropy of the singular values of the centred features: how many directions are in use. Roy and Vetterli, EUSIPCO 2007.',
  ],
  ['Singular values', 'A curve that drops to zero early is a dimensional collapse. Jing et al., arXiv 2110.09348.'],
  [
    'Deviation of a dimension',
    '1 is what features that fill the sphere evenly have; below 0.1 a dimension is dead. The variance term of VICReg, arXiv 2105.04906, looks at the same.',
  ],
];
/** Of a method that says no more. */
const PLAIN: readonly (readonly [string, string])[] = [
  ['Uniformity', 'Wang and Isola, arXiv 2005.10242.'],
  ['Images', 'The mean of the student’s patch tokens; it sees the middle square of an image, not augmented.'],
];

const STYLE = `:root{color-scheme:light dark;--text:#1d2126;--quiet:#59626c;--ground:#fff;--panel:#f5f6f8;--line:#d5d9de;--good:#00664a;--bad:#a63c00}
@media(prefers-color-scheme:dark){:root{--text:#e6e8ea;--quiet:#a5adb5;--ground:#16191d;--panel:#1f2429;--line:#3a4149;--good:#4cc79c;--bad:#ffa566}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--ground);max-width:960px;margin:0 auto;padding:24px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:18px;margin:32px 0 8px}.quiet{color:var(--quiet)}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:5px 10px;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.finding{background:var(--panel);border-left:4px solid var(--quiet);padding:8px 14px;margin:8px 0;border-radius:6px}
.finding.good{border-color:var(--good)}.finding.bad{border-color:var(--bad)}
.finding h3{font-size:15px;margin:0}.finding p{margin:2px 0 0}
figure{margin:12px 0;background:#fff;border-radius:6px;padding:8px;border:1px solid var(--line)}
svg{max-width:100%;height:auto;display:block}dt{font-weight:600;margin-top:8px}dd{margin:0}
@media print{.finding,figure{break-inside:avoid}}`;

/** The report as one HTML document that needs nothing beside it, and names no folder of this machine. */
export async function healthPage(store: Store, report: HealthReport): Promise<string> {
  const title = escapeXml(`Health of ${report.run}, step`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} ${report.checkpoint.step}</title><style>${STYLE}</style></head>
<body><main>
<h1>${title} ${count(report.checkpoint.step)}</h1>
${await healthBody(store, report)}</main></body></html>
`;
}

/** What stands in it below its title, for a window that has one of its own. */
export async function healthBody(store: Store, report: HealthReport): Promise<string> {
  const e = escapeXml;
  const { trained, untrained } = report;
  const checkpoint = store.checkpoints.get(report.checkpoint.id);
  const own = await healthOf(checkpoint.config);
  const index = (values: readonly number[]) => values.map((_, i) => i + 1);
  const pair = (title: string, yLabel: string, of: (n: NetworkHealth) => number[], levels: [string, number][] = []) => {
    const lines = [
      { label: `trained, step ${report.checkpoint.step}`, x: index(of(trained)), y: of(trained) },
      { label: 'untrained', x: index(of(untrained)), y: of(untrained) },
      ...levels.map(([label, y]) => ({ label, x: [1, of(trained).length], y: [y, y] })),
    ];
    return figure(title, chartSvg(title, 'dimension, the largest first', yLabel, lines).svg);
  };
  const figure = (title: string, svg: string) =>
    `<figure>${svg.replace('<svg ', `<svg role="img" aria-label="${e(title)}" `)}</figure>`;
  // Powers of ten: what is zero but for rounding is left out.
  const logarithms = (values: readonly number[]) => values.filter((v) => v > 1e-9).map(Math.log10);
  const curve = curveSvg(store, checkpoint);
  const changed = differences(parseRunConfig({ method: checkpoint.config.method }), checkpoint.config);
  const findings = await findingsOf(store, report);
  const rows: Row[] = [
    ...(own?.sets.flatMap(({ key, title }) => rowsOf(report, key, title, `the ${title}`)) ?? []),
    ...(own?.figures.map(({ key, title, words, against }): Row => {
      const of = ({ figures }: NetworkHealth) => words(figures[key] ?? null);
      return [title, of(trained), of(untrained), against(report)];
    }) ?? []),
    ...rowsOf(report, IMAGES, IMAGES, IMAGES),
  ];
  const ofSets = own?.sets.map(
    ({ key, title }) => `<h2>${e(capital(title))}, dimension by dimension</h2>
${pair(`Singular values of the ${title}`, 'log10 of the singular value', (n) => logarithms(n.sets[key]!.singular))}
${pair(
  `Standard deviation of each dimension of the ${title}`,
  'over that of an even spread',
  (n) => n.sets[key]!.deviations,
  [
    ['1: an even spread', 1],
    ['0.1: dead below', 0.1],
  ],
)}
`,
  );
  const seen = `${report.images} images of ${report.dataset}${report.held_out ? ', held out from training' : ''}`;
  const leftOut =
    report.left_out.length > 0 ? leftOutWords(report.left_out, report.images + report.left_out.length) : '';
  const day = new Date().toISOString().slice(0, 10);
  const row = (cells: string[]) => `<tr>${cells.map((cell) => `<td>${e(cell)}</td>`).join('')}</tr>`;
  return `${leftOut === '' ? '' : `<p>${e(leftOut)}</p>\n`}<p class="quiet">${e(seen)}. ConMIM Workbench ${e(VERSION)}, ${day}.</p>
<h2>What it says</h2>
${findings
  .map(
    ({ level, title, text }) =>
      `<section class="finding ${level}"><h3>${SIGN[level]} ${LEVEL[level]}: ${e(title)}</h3><p>` +
      `${e(text)}</p></section>`,
  )
  .join('\n')}
<h2>Figures</h2>
<table><thead><tr><th>Figure</th><th class="n">Trained</th><th class="n">Untrained</th><th>To hold it against</th></tr></thead><tbody>
${rows
  .map(
    ([title, of, before, against]) =>
      `<tr><td>${e(title)}</td><td class="n">${e(of)}</td><td class="n">${e(before)}</td><td>${e(against)}</td></tr>`,
  )
  .join('\n')}
</tbody></table>
${(ofSets ?? []).join('')}<h2>Images</h2>
${pair('Singular values of images, mean of patch tokens', 'log10 of the singular value', (n) => logarithms(n.sets.images.singular))}
${curve ? `<h2>Training</h2>\n${figure(own?.curves ?? 'Loss by step', curve)}` : ''}
<h2>Settings that differ from the default</h2>
${
  changed.length === 0
    ? '<p>None.</p>'
    : '<table><thead><tr><th>Setting</th><th>Value</th><th>Default</th></tr></thead><tbody>' +
      changed.map(({ key, preset, value }) => row([key, JSON.stringify(value), JSON.stringify(preset)])).join('\n') +
      '</tbody></table>'
}
<h2>What the figures mean</h2>
<dl>${[...MEANINGS, ...(own?.meanings ?? PLAIN)].map(([term, text]) => `<dt>${e(term)}</dt><dd>${e(text)}</dd>`).join('\n')}</dl>
`;
}
