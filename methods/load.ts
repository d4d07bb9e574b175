/** A file of a method's folder, loaded when it is asked for. */
export async function loadOf<T>(method: string, file: string): Promise<T> {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  // biome-ignore lint/plugin: the files of methods alone are found by their names, and a test knows which there must be
  return (await import(new URL(`./${method}/${file}.${ending}`, import.meta.url).href)) as T;
}
