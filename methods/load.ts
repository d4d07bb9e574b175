/** A file of a method's folder, loaded when it is asked for. */
export async function loadOf<T>(method: string, file: string): Promise<T> {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return (await import(new URL(`./${method}/${file}.${ending}`, import.meta.url).href)) as T;
}
