import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { kept, keptPath, onDisk } from '../../electron/files/on-disk.ts';
import { bytesOfName, textOfName } from '../../shared/byte-names.ts';

/** Bytes that often come near an escape, a cut sequence, or a surrogate. */
const odd = fc.array(
  fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 4 }),
    fc.constantFrom('\\', 'x', '\\x', '\\x5c', '\\xe4', '\\x41', 'ä', '写', '😀', '\ufeff').map((s) => Buffer.from(s)),
    fc.constantFrom([0xed, 0xa0, 0x80], [0xc0, 0xaf], [0xf4, 0x90, 0x80, 0x80], [0xe5, 0x86], [0xff]),
  ),
  { maxLength: 8 },
);
const name = odd.map((parts) => Buffer.concat(parts.map((part) => Buffer.from(part))));

it('gives back the bytes of every name', () => {
  fc.assert(
    fc.property(name, (bytes) => {
      expect(Buffer.from(bytesOfName(textOfName(bytes)))).toEqual(bytes);
    }),
    { numRuns: 5000 },
  );
});

it('gives two names two texts', () => {
  fc.assert(
    fc.property(name, name, (a, b) => {
      expect(textOfName(a) === textOfName(b)).toBe(a.equals(b));
    }),
    { numRuns: 5000 },
  );
});

it('is the text itself for UTF-8, but where that holds an escape', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      fc.pre(!/\\x[0-9a-f]{2}/.test(text));
      expect(textOfName(Buffer.from(text))).toBe(text);
    }),
  );
  expect(textOfName(Buffer.from('C:\\x4 \\xZZ \\x'))).toBe('C:\\x4 \\xZZ \\x');
  expect(textOfName(Buffer.from('a\\xe4'))).toBe('a\\x5cxe4');
});

it('can be stored and shown: well-formed, with no control character that was not in the name', () => {
  fc.assert(
    fc.property(name, (bytes) => {
      const text = textOfName(bytes);
      expect(text.isWellFormed()).toBe(true);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is counted
      expect(text.match(/[\0-\x1f\x7f]/g)?.length ?? 0).toBeLessThanOrEqual(
        bytes.filter((b) => b < 32 || b === 127).length,
      );
    }),
  );
});

it('writes the bytes of other encodings as escapes', () => {
  expect(textOfName(Buffer.from('Mädchen.png', 'latin1'))).toBe('M\\xe4dchen.png');
  expect(textOfName(Buffer.from('Mödchen.png', 'latin1'))).toBe('M\\xf6dchen.png');
  expect(textOfName(Buffer.from([0xc3, 0xa8]))).toBe('è'); // bytes that happen to be UTF-8
});

it.skipIf(process.platform !== 'linux')('opens what the file system lists', () => {
  const folder = mkdtempSync(join(tmpdir(), 'conmim-names-'));
  try {
    const names = [
      Buffer.from('M\xe4.png', 'latin1'),
      Buffer.from('M\\xe4.png'),
      Buffer.from([0x8e, 0xca, 0x5c, 0x41]),
    ];
    for (const bytes of names) writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), bytes]), bytes);
    const listed = readdirSync(folder, { encoding: 'buffer' }).map(kept);
    expect(new Set(listed).size).toBe(3);
    for (const text of listed) expect(kept(readFileSync(onDisk(join(keptPath(folder), text))))).toBe(text);
    expect(execFileSync('ls', [folder]).includes(names[0]!)).toBe(true);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
