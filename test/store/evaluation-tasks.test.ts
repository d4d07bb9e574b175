import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { evaluationTasks } from '../../electron/store/migrations/0017-evaluation-tasks.ts';
import { MIGRATIONS } from '../../electron/store/migrations/index.ts';
import { migrate } from '../../electron/store/open.ts';
import { Store } from '../../electron/store/store.ts';
import { evaluationResult } from '../harness/evaluation-result.ts';
import { CONFIG, scratch } from './helpers.ts';

test('migration 17: evaluations, those that wait, and their features stay, with their numbers; other tasks may come', () => {
  const path = join(scratch(), 'sixteen');
  const db = new Database(path);
  db.pragma('foreign_keys = ON');
  migrate(db, MIGRATIONS.indexOf(evaluationTasks));
  const result = evaluationResult({ checkpoint: { id: 5, run_id: 7, step: 9 } });
  db.exec(`
    INSERT INTO datasets (id, name, folders, labels, created_at) VALUES (3, 'photos', '["/a"]', 'folders', 1);
    INSERT INTO runs (id, name, dataset_id, config, status, step, total_steps, steps_per_epoch, created_at)
      VALUES (7, 'older', 3, '${JSON.stringify(CONFIG)}', 'finished', 9, 9, 1, 1);
    INSERT INTO evaluations (id, run_id, dataset_id, task, created_at, result) VALUES
      (4, 7, 3, 'knn', 1, '${JSON.stringify(result)}'), (9, 7, 3, 'knn', 1, '{}');
    DELETE FROM evaluations WHERE id = 9;
    INSERT INTO queued_evaluations (id, run_id, checkpoint_id, step, dataset_id, task, options, queue_position, created_at)
      VALUES (12, 7, 5, 9, 3, 'linear', '{"k":20}', 1.5, 2);
    INSERT INTO evaluation_features (evaluation_id, key, start, data, crc32) VALUES (12, 'trained', 0, x'00000000', ${crc32(Buffer.alloc(4))});`);
  db.close();
  const store = Store.open(path);
  expect(store.evaluations.list().map(({ id, task }) => [id, task])).toEqual([[4, 'knn']]);
  expect(store.evaluations.list()[0]!.result).toEqual(result);
  expect(store.queuedEvaluations.get(12)).toMatchObject({ task: 'linear', queue_position: 1.5, options: { k: 20 } });
  expect(store.queuedEvaluations.parts(12, 'trained').map(({ features }) => [...features])).toEqual([[0]]);
  // A number is never used again, and what waits may be of any task.
  const of = { checkpoint_id: null, dataset_id: 3 };
  store.evaluations.add({ ...of, task: 'labelfree', result: { ...result, task: 'labelfree', chance: null } });
  expect(store.evaluations.list().at(-1)).toMatchObject({ id: 10, task: 'labelfree', result: { chance: null } });
  // Features still go with what they are of.
  store.queuedEvaluations.cancel(12);
  expect(store.queuedEvaluations.parts(12, 'trained')).toEqual([]);
  store.close();
});
