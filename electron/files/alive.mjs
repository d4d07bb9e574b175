// Plain JavaScript, for the set-up asks too (tools/bootstrap), which may run on a Node that reads no TypeScript.
import { readFileSync } from 'node:fs';

/**
 * When a process of this machine began, in the system's words; empty where that cannot be asked (it is not Linux).
 * @param {number} pid
 * @returns {string} digits
 */
export function beginOf(pid) {
  try {
    // The name, in brackets, may hold anything; the begin is the twentieth field after it.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1);
    return fields?.split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

/**
 * Whether a process of this machine is there. A number that another process has by now is told by when that began. It
 * says whose a left file is, never who works at what: that is for locks (`electron/store/holds.ts`).
 * @param {number} pid an invalid number, as of an empty file, counts as no process
 * @param {string} begin as `beginOf` said it; empty where it is not known
 * @returns {boolean}
 */
export function isAlive(pid, begin) {
  // 0 and numbers below it mean whole groups of processes to the system: no process has one.
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ESRCH') return false;
  }
  return begin === '' || beginOf(pid) === begin;
}
