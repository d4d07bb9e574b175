import { Argument, type Command, Option } from 'commander';
import { type OutputRules, requireOutput, requireOutputFolder, type Target } from '../files/outputs.ts';
import { typedPath } from '../files/typed-path.ts';

/** An output of a command whose path the user gives. */
export interface Written {
  /** Of a file: how its name ends. */
  endings?: readonly string[];
  /** Of a file: whether its folder is made where it is missing. */
  makesFolder?: boolean;
  /** Other files that are written, beside it or in the folder that it is: checked with it, before the service checks them. */
  also?: (path: string, options: Record<string, unknown>) => readonly string[];
}

/** An option that names an output file, or without `endings` a folder. Its value is checked before the command begins. */
export class OutputOption extends Option {
  readonly output: Written;
  constructor(flags: string, description: string, output: Written) {
    super(flags, description);
    this.output = output;
  }
}

/** The same as an argument. */
export class OutputArgument extends Argument {
  readonly output: Written;
  constructor(name: string, description: string, output: Written) {
    super(name, description);
    this.output = output;
  }
}

const outputOptions = (command: Command) => command.options.filter((one) => one instanceof OutputOption);
const hasOutput = (command: Command) =>
  outputOptions(command).length > 0 || command.registeredArguments.some((one) => one instanceof OutputArgument);

/** Gives `--force` to every command that writes where it is told to. */
export function addForce(program: Command): void {
  for (const command of program.commands) {
    if (hasOutput(command)) command.option('--force', 'write over files that are there');
    addForce(command);
  }
}

/**
 * Looks at what a command was told to write, before it begins.
 * @returns options and arguments in which each place is a `Target`
 * @throws AppError as `requireOutput`
 */
export function requireOutputs<A extends unknown[]>(command: Command, options: Record<string, unknown>, args: A) {
  const replace = options.force === true;
  const check = (text: string, { endings, also, makesFolder = false }: Written): Target => {
    const withIt = also?.(typedPath(text, 'what is to be written'), options) ?? [];
    if (!endings) return { path: requireOutputFolder(text, withIt, { replace }), replace };
    const rules: OutputRules = { endings, beside: withIt, replace, makesFolder };
    return { path: requireOutput(text, rules), replace };
  };
  const checked = { ...options };
  for (const option of outputOptions(command)) {
    const key = option.attributeName();
    if (checked[key] !== undefined) checked[key] = check(checked[key] as string, option.output);
  }
  const places = command.registeredArguments.map((argument, i) =>
    argument instanceof OutputArgument && args[i] !== undefined ? check(args[i] as string, argument.output) : args[i],
  );
  return { options: checked, args: [...places, ...args.slice(places.length)] as A };
}
