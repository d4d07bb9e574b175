import { openProgram } from '../../electron/ipc/program.ts';

/** The program in a process of its own, to be killed. */
await openProgram({ home: process.argv[2]!, shell: { kind: 'browser', reveal: () => false } });
process.send!('open');
process.once('disconnect', () => process.exit()); // a test that fails leaves nobody behind
