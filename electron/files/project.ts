import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's folder: the built program stands one level deeper than its source. */
export const ROOT = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../../' : '../../../', import.meta.url));

/** Of this program. */
export const { version: VERSION } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };

/** A source file beside another, as it is now: TypeScript where tests run the sources, JavaScript where the program is built. */
export const sourceFile = (name: string, from: string): URL =>
  new URL(`${name}.${from.endsWith('.ts') ? 'ts' : 'js'}`, from);

/** The file of a process of this program (electron/workers). Nothing imports one: it is started. */
export const workerFile = (name: 'trainer' | 'job' | 'explore' | 'trial' | 'outside' | 'bench'): string =>
  fileURLToPath(sourceFile(`../workers/${name}`, import.meta.url));
