import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compile } from 'svelte/compiler';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../../renderer');
/** A block that begins or ends with a space on its own line: Svelte leaves that space out, and words run together. */
const EATEN = /\{(?:#if|#each|:else)(?:[^{}\n]|\{[^{}\n]*\})*\} +\S|\S +\{(?:\/if|\/each|:else)/g;

test('no space is written where Svelte eats it', () => {
  const files = globSync('**/*.svelte', { cwd: ROOT });
  expect(files.length).toBeGreaterThan(40);
  const found = files.flatMap((file) =>
    [...readFileSync(join(ROOT, file), 'utf8').matchAll(EATEN)].map(([text]) => `${file}: ${text}`),
  );
  expect(found).toEqual([]);
});

test('Svelte does eat it, and keeps one that is an expression', () => {
  const texts = (source: string) =>
    [...compile(source, {}).js.code.matchAll(/from_html\(`(.*?)`/g)].map(([, html]) => html);
  expect(texts('<p>one{#if a} two{/if}</p>{#if a}<b> x</b>{/if}').join()).not.toContain('> two');
  const code = compile("<p>one{#if a}{' '}two{/if}</p>", {}).js.code;
  expect(code).toMatch(/text\((['"`]) two\1\)|['"`] two/);
});
