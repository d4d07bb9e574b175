import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where distributions put the files of Chromium. */
const FOLDERS = ['/usr/lib/chromium', '/usr/lib/chromium-browser', '/usr/lib64/chromium-browser', '/opt/google/chrome'];

/**
 * What makes a process see SwiftShader, Chromium's GPU in software, and no other: a variable for the Vulkan loader that
 * comes with it, and a manifest. Null where there is none. Call `remove` at the end.
 */
export function swiftShader(): { env: NodeJS.ProcessEnv; remove(): void } | null {
  const folder = FOLDERS.find((one) =>
    ['libvk_swiftshader.so', 'libvulkan.so.1'].every((f) => existsSync(join(one, f))),
  );
  if (!folder) return null;
  const own = mkdtempSync(join(tmpdir(), 'swiftshader-'));
  const manifest = join(own, 'icd.json');
  const library_path = join(folder, 'libvk_swiftshader.so');
  writeFileSync(
    manifest,
    JSON.stringify({ file_format_version: '1.0.0', ICD: { library_path, api_version: '1.1.0' } }),
  );
  const env = { ...process.env, LD_LIBRARY_PATH: folder, VK_ICD_FILENAMES: manifest, VK_DRIVER_FILES: manifest };
  return { env, remove: () => rmSync(own, { recursive: true }) };
}

export const NO_SWIFTSHADER = 'Chromium with libvk_swiftshader.so and libvulkan.so.1 is not installed';
