import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import {
  BACKENDS,
  type BackendChoice,
  type BackendName,
  type BackendUse,
  type Trial,
  USES,
} from '../../shared/backends.ts';
import { AppError } from '../../shared/errors.ts';
import { writeWhole } from '../files/files.ts';
import { makeFolder } from '../files/folders.ts';
import { type MachineFacts, machineFacts } from './machine.ts';
import { cacheFolder } from './runtime-folder.ts';

const trialSchema: z.ZodType<Trial> = z.object({
  at: z.number(),
  machine: z.record(z.string(), z.string()),
  results: z.array(
    z.object({
      name: z.enum(BACKENDS),
      device: z.string().nullable(),
      images_per_s: z.number().nullable(),
      load_s: z.number().nullable(),
      first_step_s: z.number().nullable(),
      steps: z.number(),
      why: z.string(),
    }),
  ),
  pick: z.enum(BACKENDS).nullable(),
});
const fileSchema = z.object({ use: z.enum(USES).catch('auto'), trial: trialSchema.nullable().catch(null) });

const file = () => join(cacheFolder(), 'backend.json');

/** What was chosen and tried on this machine. A file that cannot be read counts as none. */
export function backendChoice(facts: () => MachineFacts = machineFacts): BackendChoice {
  let stored: z.infer<typeof fileSchema> = { use: 'auto', trial: null };
  try {
    stored = fileSchema.parse(JSON.parse(readFileSync(file(), 'utf8')));
  } catch {} // never written, or not by us
  const { use, trial } = stored;
  if (!trial) return { use, trial, changed: [] };
  const machine = facts();
  const names = Object.keys(machine) as (keyof MachineFacts)[];
  return { use, trial, changed: names.filter((fact) => machine[fact] !== trial.machine[fact]) };
}

/** Keeps what is to be used from now on; what runs goes on with what it has. */
export const chooseBackend = (use: BackendUse): void => store({ use, trial: backendChoice().trial });

export const storeTrial = (trial: Trial): void => store({ use: backendChoice().use, trial });

function store(value: { use: BackendUse; trial: Trial | null }): void {
  const path = file();
  try {
    makeFolder(dirname(path));
    writeWhole(path, [Buffer.from(`${JSON.stringify(value, null, 2)}\n`)]); // whoever reads sees the old one or the new one
  } catch (error) {
    const { message } = error as Error;
    throw new AppError('bad-file', `The choice could not be kept in ${path}.`, message, 'Free or unlock the folder.');
  }
}

/** Which backends are tried, in which order, and why. */
export interface Plan {
  names: BackendName[];
  why: string;
  /** The first or none: it was asked for by name. */
  isStrict: boolean;
  /** WebGPU on an adapter that computes on the CPU is taken too. */
  allowSoftware: boolean;
  /** What to do where a strict one cannot be used. */
  next: string;
  warnings: string[];
}

const SET_UP = 'Run `npm run setup`, and read what it says.';

/**
 * @param prefer a backend by name, before anything else @param env `CONMIM_BACKEND` comes before what was chosen
 * @throws AppError bad-input where the variable names no backend
 */
export function planBackends(
  prefer: BackendName | undefined,
  env: NodeJS.ProcessEnv = process.env,
  choice: () => BackendChoice = backendChoice,
): Plan {
  const only = (name: BackendName, why: string, next: string, allowSoftware = false): Plan => ({
    names: [name],
    why,
    isStrict: true,
    allowSoftware,
    next,
    warnings: [],
  });
  if (prefer) return only(prefer, 'It was asked for.', SET_UP);
  const asked = env.CONMIM_BACKEND || undefined;
  if (asked !== undefined && asked !== 'auto') {
    const name = BACKENDS.find((one) => one === asked);
    if (!name) {
      const known = ['auto', ...BACKENDS].join(', ');
      throw new AppError('bad-input', `CONMIM_BACKEND names no backend: "${asked}".`, '', `It may be ${known}.`);
    }
    const next = name === 'tensorflow' ? SET_UP : 'Unset CONMIM_BACKEND to use another one.';
    return only(name, 'CONMIM_BACKEND asks for it.', next, true);
  }
  const { use, trial, changed } = choice();
  if (asked === undefined && use !== 'auto')
    return only(use, 'It was chosen.', 'Choose another one: `conmim doctor --use auto`.');
  const auto = { isStrict: false, allowSoftware: false, next: SET_UP };
  const order: BackendName[] = ['tensorflow', 'wasm'];
  if (trial?.pick && changed.length === 0) {
    const names = [...new Set([trial.pick, ...order])];
    return { ...auto, names, why: `The last trial found it the fastest: ${trialWords(trial)}.`, warnings: [] };
  }
  const warnings =
    trial && changed.length > 0
      ? [`The last trial does not hold any more (changed: ${changed.join(', ')}): \`conmim doctor --trial\` makes one.`]
      : [];
  return { ...auto, names: order, why: '', warnings };
}

/** Each backend that works, the fastest first. */
export const trialWords = ({ results }: Trial): string =>
  results
    .filter((one) => one.images_per_s !== null)
    .sort((a, b) => b.images_per_s! - a.images_per_s!)
    .map((one) => `${one.name} ${one.images_per_s!.toPrecision(3)} images/s`)
    .join(', ');
