#!/usr/bin/env node
import { interruption } from './cli/interruption.ts';
import { Output, watchOutput } from './cli/output.ts';
import { runProgram } from './cli/program.ts';

watchOutput();
// Before the commands are loaded, which takes a while: a signal is heard from here on.
interruption.listen(new Output(process.argv.includes('--json')));
await runProgram(process.argv.slice(2));
