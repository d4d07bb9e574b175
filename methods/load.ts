/**
 * A file of a method's folder, loaded when it is asked for.
 * @throws Error that names the method and the file, where it is not there or does not load
 */
export async function loadOf<T>(method: string, file: string): Promise<T> {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const name = `./${method}/${file}.${ending}`;
  try {
    // biome-ignore lint/plugin: the files of methods alone are found by their names, and a test knows which there must be
    return (await import(new URL(name, import.meta.url).href)) as T;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`methods/${name.slice(2)} cannot be loaded, which method "${method}" needs: ${why}`, { cause });
  }
}
