#!/usr/bin/env node
// This engine against PyTorch, in turn, on the same machine and shapes:
//   npm run race -- [--method NAME] [--model vit-small] [--image 224] [--patch 16] [--batch 8] [--steps 4]
//                   [--precision fp32|bf16] [--recompute] [--runs 3] [--json]          --recompute: ours with blocks recomputed too
//                   --method: what is left out of the sizes is as the method's default preset has it; without: as shown, of the first method
//   npm run race -- --what loader [--image 224] [--images 600] [--runs 3] [--json]     JPEG to both views, one core
// PyTorch is brought into an environment of its own in the cache folder; CONMIM_PYTHON names another that has it.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CACHE, ROOT } from './bootstrap/paths.mjs';
import { say } from './bootstrap/say.mjs';

const REFERENCE = join(ROOT, 'tools', 'reference');
const { values } = parseArgs({
  options: {
    what: { type: 'string', default: 'step' },
    images: { type: 'string', default: '600' },
    method: { type: 'string' },
    model: { type: 'string' },
    image: { type: 'string' },
    patch: { type: 'string' },
    batch: { type: 'string' },
    precision: { type: 'string', default: 'fp32' },
    recompute: { type: 'boolean', default: false },
    steps: { type: 'string', default: '4' },
    runs: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
  },
});
const runs = Number(values.runs);
if (!(Number.isInteger(runs) && runs >= 3)) {
  say('--runs is a whole number, and at least 3: one run says nothing of the next.');
  process.exit(1);
}

if (!['step', 'loader'].includes(values.what)) {
  say(`--what is step or loader, not "${values.what}".`);
  process.exit(1);
}

/** A Python that has what requirements.txt names. */
function python() {
  if (process.env.CONMIM_PYTHON) return process.env.CONMIM_PYTHON;
  const folder = join(CACHE, 'race');
  const own = join(folder, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python3');
  const asked = ['-c', 'import torch, torchvision, PIL, safetensors'];
  const works = () => {
    try {
      execFileSync(own, asked, { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  if (existsSync(own) && works()) return own;
  say('Bringing PyTorch, to race against: some GB, once …');
  try {
    execFileSync('python3', ['-m', 'venv', folder], { stdio: ['ignore', 2, 2] });
    execFileSync(own, ['-m', 'pip', 'install', '-q', '-r', join(REFERENCE, 'requirements.txt')], {
      stdio: ['ignore', 2, 2],
    });
  } catch (error) {
    say(
      `PyTorch cannot be brought: ${error.message}\nInstall Python 3 with venv and pip, or name a Python that has torch in CONMIM_PYTHON.`,
    );
    process.exit(1);
  }
  return own;
}

/** What a program prints; where it fails it has said why itself. */
function ask(file, args) {
  try {
    return JSON.parse(execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 2] }));
  } catch (error) {
    if (!error.status) throw error;
    process.exit(1);
  }
}
const bench = (...args) => ask(process.execPath, [join(ROOT, 'out', 'electron', 'cli.js'), 'bench', ...args, '--json']);
// -B: no __pycache__ in the project's folder.
const reference = (file, ...args) => ask(interpreter, ['-B', join(REFERENCE, file), ...args, '--json']);
const given = (...keys) => keys.filter((key) => key in values).flatMap((key) => [`--${key}`, values[key]]);
const STEP = () => given('method', 'model', 'image', 'patch', 'batch', 'steps', 'precision');
const folder = mkdtempSync(join(tmpdir(), 'conmim-race-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const work = join(folder, 'work.json');
/** Ours comes first, and says what the other side has to compute. */
function ourStep() {
  const said = bench('step', ...STEP());
  writeFileSync(work, JSON.stringify(said));
  const { work: _, ...found } = said;
  return found;
}
const RACES = {
  step: {
    figures: ['images_per_second', 'images_per_second_core', 'peak_memory_gb'],
    sides: {
      conmim: ourStep,
      ...(values.recompute && { recomputed: () => bench('step', ...STEP(), '--recompute') }),
      pytorch: () => reference('step_torch.py', work, ...given('steps', 'precision')),
    },
  },
  // The same files for both: ours makes them.
  loader: {
    figures: ['images_per_second_core', 'images_per_second'],
    sides: {
      conmim: () => bench('loader', '--folder', folder, ...given('image', 'images')),
      pytorch: () => reference('loader_torchvision.py', folder, '--size', values.image ?? '224', ...given('images')),
    },
  },
};
/** Products of matrices that a step takes may differ, for published codes compute more than is used; what is trained may not. */
function compareNetworks({ conmim: [ours], pytorch: [theirs] }) {
  if (ours.parameters !== theirs.parameters) {
    say(`These are not the same networks: ours trains ${ours.parameters} numbers, PyTorch's ${theirs.parameters}.`);
    process.exit(1);
  }
  const of = ({ flops_per_image: flops }) => (flops === null ? 'not counted' : (flops / 1e9).toPrecision(4));
  say(`products of matrices, GFLOP an image: ours ${of(ours)}, PyTorch's ${of(theirs)}`);
}
const { figures, sides } = RACES[values.what];
const interpreter = python();
const results = Object.fromEntries(Object.keys(sides).map((side) => [side, []]));
for (let run = 1; run <= runs; run++) {
  for (const [side, measure] of Object.entries(sides)) {
    const found = measure();
    results[side].push(found);
    say(`run ${run}, ${side}: ${figures.map((key) => `${key} ${found[key].toFixed(2)}`).join(', ')}`);
  }
  if (run === 1 && values.what === 'step') compareNetworks(results);
}
const median = (side, key) => results[side].map((r) => r[key]).sort((a, b) => a - b)[runs >> 1];
const summary = Object.fromEntries(
  figures.map((key) => {
    const [ours, theirs] = [median('conmim', key), median('pytorch', key)];
    const recomputed = results.recomputed && median('recomputed', key);
    return [
      key,
      {
        conmim: ours,
        pytorch: theirs,
        ratio: ours / theirs,
        ...(recomputed && { recomputed, recomputed_ratio: recomputed / theirs, of_conmim: recomputed / ours }),
      },
    ];
  }),
);
if (values.json) process.stdout.write(`${JSON.stringify({ ...values, summary, results }, null, 2)}\n`);
else
  for (const [key, of] of Object.entries(summary)) {
    const [ours, theirs, ratio] = [of.conmim, of.pytorch, of.ratio].map((value) => value.toFixed(2));
    process.stdout.write(`${key}: ours ${ours}, PyTorch ${theirs}, ratio ${ratio}\n`);
    if (!of.recomputed) continue;
    const [again, beside, share] = [of.recomputed, of.recomputed_ratio, of.of_conmim].map((value) => value.toFixed(2));
    process.stdout.write(`  with blocks recomputed ${again}, ratio ${beside}; ${share} of ours without\n`);
  }
