import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import {
  checkBeforeOpening,
  endedUncleanly,
  isCheckDue,
  notedFindings,
  quickCheck,
} from '../../electron/store/check.ts';
import { type Db, openDatabase } from '../../electron/store/open.ts';
import { giveBack } from '../../electron/store/space.ts';
import { Store } from '../../electron/store/store.ts';
import { AppError } from '../../shared/errors.ts';
import { CONFIG, newStore, scratch, state } from './helpers.ts';

/** A process that opens a database, writes, says so, and is killed. */
async function writeAndKill(path: string): Promise<void> {
  const code = `
    import Database from 'better-sqlite3';
    const db = new Database(${JSON.stringify(path)});
    db.exec("UPDATE runs SET notes = 'written'");
    console.log('written');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('close', resolve));
}

/** Pages after the first are not what they were. */
function destroy(path: string): void {
  const { size } = statSync(path);
  const fd = openSync(path, 'r+');
  for (let at = 2 * 16_384; at < size; at += 4 * 16_384) writeSync(fd, Buffer.alloc(16_384, 0x5a), 0, 16_384, at);
  closeSync(fd);
}

test('a database that was not closed is checked before it is opened, once; one that others have is not', async () => {
  const { store, run, path } = newStore();
  expect(isCheckDue(path)).toBe(false); // this process has it
  store.close();
  expect(isCheckDue(path)).toBe(false);
  await writeAndKill(path);
  const sizes: number[] = [];
  expect(checkBeforeOpening(path, (size) => sizes.push(size))).toBeNull();
  expect(sizes).toEqual([statSync(path).size]);
  expect(checkBeforeOpening(path, (size) => sizes.push(size))).toBeNull();
  expect(sizes.length).toBe(1);
  expect(existsSync(`${path}.check`)).toBe(false);
  const again = Store.open(path);
  expect(again.runs.get(run.id).notes).toBe('written');
  again.close();
}, 60_000);

test('damage that a check found is told at every start, until a check finds none', async () => {
  const { store, run, path } = newStore();
  store.checkpoints.save(run.id, { step: 1, epoch: 1, loss: 1, config: CONFIG, state: {} }, { student: state(1, 2) });
  store.close();
  const sound = readFileSync(path);
  await writeAndKill(path);
  const wal = readFileSync(`${path}-wal`);
  destroy(path);
  for (let start = 0; start < 2; start++) {
    const damage = checkBeforeOpening(path, () => {});
    expect(damage).toMatchObject({ kind: 'bad-file', message: `The database ${path} is damaged.` });
    expect(damage!.next).toContain('conmim doctor');
  }
  expect(wal.length).toBeGreaterThan(0);
  writeFileSync(path, sound);
  expect(quickCheck(path).problems).toEqual([]);
  // A check that was begun and not ended is due again; a note that is cut is one.
  writeFileSync(`${path}.check`, '{"at":1,"prob');
  expect(notedFindings(path)).toBe('due');
  expect(checkBeforeOpening(path, () => {})).toBeNull();
  expect(notedFindings(path)).toBeNull();
}, 60_000);

test('what is no database, or is not there, is left to the opening', () => {
  const folder = scratch();
  expect(endedUncleanly(join(folder, 'none'))).toBe(false);
  expect(isCheckDue(join(folder, 'none'))).toBe(false);
  writeFileSync(join(folder, 'text'), 'This is a text. '.repeat(200));
  expect(isCheckDue(join(folder, 'text'))).toBe(false);
  expect(quickCheck(join(folder, 'text')).problems[0]).toContain('not a database');
});

test('on a disk without room, what can be given back is, in smaller steps', () => {
  const db = openDatabase(join(scratch(), 'workbench.sqlite'));
  const steps: number[] = [];
  let free = 5000;
  // A log that has room for so many pages only.
  const pragma = (source: string) => {
    const asked = /^incremental_vacuum\((\d+)\)$/.exec(source);
    if (asked) {
      steps.push(Number(asked[1]));
      if (Number(asked[1]) > 40) throw new Database.SqliteError('database or disk is full', 'SQLITE_FULL');
      free -= Number(asked[1]);
      return [];
    }
    if (source === 'freelist_count') return free;
    if (source === 'page_count') return 10_000 - (5000 - free);
    if (source === 'page_size') return 16_384;
    if (source.startsWith('wal_checkpoint')) throw new Database.SqliteError('disk I/O error', 'SQLITE_IOERR_WRITE');
    return [];
  };
  expect(giveBack({ pragma } as unknown as Db)).toBe(5000 * 16_384);
  expect(steps.slice(0, 4)).toEqual([2048, 256, 32, 32]);
  // Without room for a single page nothing is given back, and the deletion stands.
  free = 7;
  expect(
    giveBack({
      pragma: (source: string) => {
        if (source.startsWith('incremental')) throw new Database.SqliteError('full', 'SQLITE_FULL');
        return pragma(source);
      },
    } as unknown as Db),
  ).toBe(0);
  // Any other fault is said.
  expect(() =>
    giveBack({
      pragma: (source: string) => {
        if (source.startsWith('incremental')) throw new Database.SqliteError('malformed', 'SQLITE_CORRUPT');
        return pragma(source);
      },
    } as unknown as Db),
  ).toThrow('malformed');
  db.close();
});

test('a database whose disk cannot be read is no fault of the program', () => {
  const folder = join(scratch(), 'workbench.sqlite');
  mkdirSync(folder);
  expect(() => quickCheck(folder)).toThrow(AppError);
  expect(() => quickCheck(folder)).toThrow(`${folder} cannot be read or written.`);
});
