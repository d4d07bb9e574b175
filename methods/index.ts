/** The methods that the workbench has: each is the folder of its name, and nothing outside of it says that name. */
export const METHODS = ['conmim', 'mae'] as const;
export type MethodName = (typeof METHODS)[number];
/** What a run, or a fixture, that names no method was made by: there was one method once. */
export const FIRST_METHOD: MethodName = 'conmim';

/** A file of a method's folder, loaded when it is asked for. */
export async function loadOf<T>(method: MethodName, file: string): Promise<T> {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return (await import(new URL(`./${method}/${file}.${ending}`, import.meta.url).href)) as T;
}
