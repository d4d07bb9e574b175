import { type FileLock, isLocked, lockFile } from '../../electron/store/file-lock.ts';

/** A process at a lock: `lock-child FILE hold|look|wait`. */
const [path, mode] = process.argv.slice(2) as [string, string];
let own: FileLock | null = null;
let seen = false;
let looks = 0;
if (mode === 'hold') own = lockFile(path);
if (mode === 'look') {
  const look = () => {
    seen ||= isLocked(path);
    looks++;
    setImmediate(look);
  };
  look();
}
process.on('message', (what) => {
  if (what === 'take') {
    own = lockFile(path);
    process.send!(own !== null);
  }
  const report = () => (looks < 300 ? setTimeout(report, 5) : process.send!(seen));
  if (what === 'report') report();
});
process.once('disconnect', () => {
  own?.release();
  process.exit();
});
process.send!('ready');
