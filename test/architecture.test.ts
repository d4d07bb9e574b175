import { globSync, readFileSync } from 'node:fs';
import { dirname, join, matchesGlob, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
/** Who may import whom; everyone may import from its own folder. */
const BELOW_SERVICES = [
  ...['shared', 'methods', 'electron/files', 'electron/processes', 'electron/engine', 'electron/runtime'],
  ...['electron/data', 'electron/formats', 'electron/store', 'electron/trainer'],
];
const SCREENS_OF_METHODS = 'methods/*/*.svelte';
const MAY: Record<string, string[]> = {
  shared: [],
  // Paths as people type them, files that are written whole, where the program lies: for everyone.
  'electron/files': ['shared'],
  // How another process of the program is started, and what its end means.
  'electron/processes': ['shared', 'electron/files'],
  'electron/engine': ['shared'],
  methods: ['shared', 'electron/engine'],
  'electron/runtime': ['shared', 'electron/files', 'electron/processes', 'electron/engine'],
  'electron/data': ['shared', 'electron/files', 'electron/processes'],
  'electron/formats': ['shared', 'electron/files'],
  'electron/store': ['shared', 'methods', 'electron/files'],
  'electron/trainer': BELOW_SERVICES.filter((layer) => layer !== 'electron/formats'),
  'electron/services': BELOW_SERVICES,
  'electron/bench': [...BELOW_SERVICES, 'electron/services'],
  // Composition roots of processes: nothing imports them, they are started.
  'electron/workers': [...BELOW_SERVICES, 'electron/services', 'electron/bench'],
  'electron/shell': ['shared', 'electron/files'],
  'electron/ipc': ['shared', 'methods', 'electron/files', 'electron/services', 'electron/store', 'electron/shell'],
  'electron/cli': [
    ...['shared', 'methods', 'electron/files', 'electron/processes', 'electron/runtime', 'electron/services'],
    'electron/bench',
    ...['electron/store', 'electron/trainer', 'electron/shell', 'electron/ipc'],
  ],
  'electron/cli.ts': ['shared', 'electron/files', 'electron/processes', 'electron/cli'],
  'electron/main.ts': ['shared', 'electron/files', 'electron/store', 'electron/shell', 'electron/ipc'],
  'electron/preload.cts': ['shared'],
  // Widgets, charts and state; what methods draw of themselves; the screens, which find that by its file's name.
  renderer: ['shared', 'methods'],
  [SCREENS_OF_METHODS]: ['shared', 'methods', 'renderer'],
  'renderer/views': ['shared', 'methods', SCREENS_OF_METHODS, 'renderer'],
  'renderer/App.svelte': ['shared', 'renderer', 'renderer/views'],
  'renderer/main.ts': ['shared', 'renderer', 'renderer/App.svelte'],
};
/** The rooms of services, the lowest first: a room imports from those before it. */
const ROOMS = [
  ...['ground', 'datasets', 'recipes', 'evaluation', 'export', 'embeddings', 'explore', 'retrieval', 'health'],
  ...['machine', 'runs', 'bakeoff', 'sheets'],
];
/** The folder that a file belongs to: the longest that is named. */
const layerOf = (file: string) =>
  Object.keys(MAY)
    .filter((layer) => file === layer || file.startsWith(`${layer}/`) || matchesGlob(file, layer))
    .sort((a, b) => b.length - a.length)[0];

/** Imports of a file, dynamic ones too: of the project's own files relative to its root, of packages by name. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const found = [
    ...text.matchAll(/^\s*(?:import|export) [^'"]*?from '([^']+)'/gms),
    ...text.matchAll(/\bimport\('([^']+)'\)/g),
    ...text.matchAll(/^\s*import '([^']+)'/gm),
  ];
  return found.map((m) => (m[1]!.startsWith('.') ? relative(ROOT, resolve(ROOT, dirname(file), m[1]!)) : m[1]!));
}

const files = globSync('{shared,methods,electron,renderer}/**/*.{ts,cts,mjs,svelte}', { cwd: ROOT }).filter(
  (file) => !file.endsWith('.test.ts'),
);

test('layers import only what is below them', () => {
  const wrong = files.flatMap((file) => {
    const layer = layerOf(file);
    if (!layer) return [`${file} is in no layer`];
    return importsOf(file)
      .map((to) => [to, layerOf(to)] as const)
      .filter(([, other]) => other && other !== layer && !MAY[layer]!.includes(other))
      .map(([to]) => `${file} imports ${to}`);
  });
  expect(files.length).toBeGreaterThan(40);
  expect(wrong).toEqual([]);
});

test('the table of the document has the same arrows', () => {
  const document = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');
  const rows = [...document.matchAll(/^\| `([^`]+)` \|[^|]*\| ([^|]+) \|$/gm)].map((m) => [m[1]!, m[2]!] as const);
  const named = (name: string) => {
    const path = name.replace('NAME', '*').replace(/(\/\*)?\/$/, '');
    const layer = [path, `electron/${path}`].find((one) => one in MAY);
    if (layer === undefined) throw new Error(`"${name}" in docs/architecture.md is no layer`);
    return layer;
  };
  const layers = rows.map(([name]) => named(name));
  const arrows = rows.map(([, may], i) => {
    if (may === 'nothing') return [];
    if (!may.startsWith('all above')) return may.split(', ').map(named);
    const [, but] = may.split(' but ');
    const without = but?.split(', ').map(named) ?? [];
    return layers.slice(0, i).filter((one) => !without.includes(one));
  });
  const sorted = (of: Record<string, string[]>) =>
    Object.fromEntries(Object.entries(of).map(([layer, may]) => [layer, may.filter((one) => one !== layer).sort()]));
  expect(sorted(Object.fromEntries(layers.map((layer, i) => [layer, arrows[i]!])))).toEqual(sorted(MAY));
});

test('what methods say of themselves knows no tensors, and whoever needs none asks for nothing else of them', () => {
  const reached = new Set(['methods/index.ts']);
  for (const file of reached) for (const to of importsOf(file)) if (to.endsWith('.ts')) reached.add(to);
  expect([...reached].filter((file) => !/^(shared|methods)\//.test(file))).toEqual([]);
  expect(reached.size).toBeGreaterThan(8);
  const bare = files.filter((file) => /^(renderer|electron\/(store|ipc|cli|data))\/|\.svelte$/.test(file));
  const others = bare.flatMap((file) => importsOf(file).filter((to) => /^methods\/.*\.ts$/.test(to)));
  expect(new Set(others)).toEqual(new Set(['methods/index.ts']));
});

/** What would leave half a file where it is cut short; one that may use it says why beside its import. */
const WRITES = {
  importNames: ['createWriteStream', 'rename', 'renameSync', 'writeFile', 'writeFileSync'],
  message: 'Files are written by electron/files/files.ts (writeWhole), whole or not at all.',
};

/** The table as rules of the linter, which says it while one writes. A pattern sees the words of an import, not its file. */
function layerRules() {
  const paths = Object.fromEntries(['node:fs', 'node:fs/promises'].map((name) => [name, WRITES]));
  const rule = (includes: string[], ...patterns: { group: string[]; message: string }[]) => {
    const noRestrictedImports = { level: 'error', options: { paths, patterns } };
    return { includes, linter: { rules: { style: { noRestrictedImports } } } };
  };
  const patternOf = (layer: string) => {
    const may = MAY[layer]!;
    const isNamed = (one: string) => /\.(c?ts|svelte)$/.test(one);
    // A pattern of files would forbid a folder's own; the test above knows them.
    const others = Object.keys(MAY).filter(
      (other) => other !== layer && !may.includes(other) && other !== SCREENS_OF_METHODS,
    );
    const [files, folders] = [true, false].map((kind) =>
      others.filter((other) => isNamed(other) === kind).map((other) => other.split('/').at(-1)),
    );
    const out = [`../**/{${folders}}/**`, `../**/{${files}}`];
    const isFile = isNamed(layer) && layer !== SCREENS_OF_METHODS;
    const group = isFile ? [`./{${folders}}/**`, `./{${files}}`, ...out] : out;
    return {
      group,
      message: `${layer} may import ${may.length === 0 ? 'no other layer' : `${may.join(', ')} alone`}.`,
    };
  };
  const layers = Object.keys(MAY).map((layer) =>
    rule(/\.(c?ts|svelte)$/.test(layer) ? [layer] : [`${layer}/**`, '!**/*.test.ts'], patternOf(layer)),
  );
  // What a later rule says counts alone: that of a room has what all of services keep to.
  const rooms = ROOMS.slice(0, -1).map((room, i) => {
    const message = `${room} may import ${i === 0 ? 'no other room' : `the rooms ${ROOMS.slice(0, i).join(', ')} alone`}.`;
    const above = { group: [`../{${ROOMS.slice(i + 1)}}/**`], message };
    return rule([`electron/services/${room}/**`], patternOf('electron/services'), above);
  });
  return [...layers, ...rooms];
}

test('the linter has the same layers', async () => {
  const lines = layerRules().map((rule) => `    ${JSON.stringify(rule)}`);
  // Written by `npm test -- test/architecture.test.ts -u`.
  await expect(`{\n  "overrides": [\n${lines.join(',\n')}\n  ]\n}\n`).toMatchFileSnapshot('../biome.layers.json');
  expect(JSON.parse(readFileSync(join(ROOT, 'biome.json'), 'utf8'))).toMatchObject({
    extends: ['./biome.layers.json'],
  });
});

test('every room of services has its place', () => {
  const rooms = files.flatMap((file) => /^electron\/services\/([^/]+)\//.exec(file)?.[1] ?? []);
  expect([...new Set(rooms)].sort()).toEqual([...ROOMS].sort());
});

test('handlers start no task: services do, and say what it is called', () => {
  const handlers = files.filter((file) => file.startsWith('electron/ipc/handlers/'));
  expect(handlers.length).toBeGreaterThan(10);
  expect(handlers.filter((file) => /\btasks\s*\.start\(/.test(readFileSync(join(ROOT, file), 'utf8')))).toEqual([]);
});

test('the engine knows tfjs-core and nothing else; shared knows no Node', () => {
  const packages = (folder: string) =>
    files
      .filter((f) => f.startsWith(folder))
      .flatMap((f) => importsOf(f).filter((i) => !i.includes('/') || i.startsWith('@') || i.startsWith('node:')));
  expect([...new Set(packages('electron/engine/'))]).toEqual(['@tensorflow/tfjs-core']);
  expect([...new Set(packages('shared/'))]).toEqual(['zod']);
});

test('no line is longer than 160 characters, where the linter does not look: markup, C++', () => {
  const all = globSync('{methods,renderer,tools}/**/*.{svelte,cc,h}', { cwd: ROOT });
  const long = all.flatMap((file) => {
    const lines = readFileSync(join(ROOT, file), 'utf8').split('\n');
    return lines.flatMap((line, i) => (line.length > 160 ? [`${file}:${i + 1}`] : []));
  });
  expect(all.length).toBeGreaterThan(100);
  expect(long).toEqual([]);
});

test('SQL stands in the store alone', () => {
  const outside = files.filter((f) => !f.startsWith('electron/store/') && importsOf(f).includes('better-sqlite3'));
  expect(outside).toEqual([]);
});

test('Electron is known to the desktop’s own files alone', () => {
  const users = files.filter((file) => importsOf(file).includes('electron'));
  const MAY_KNOW = /^electron\/(main\.ts|preload\.cts|shell\/.*)$/;
  expect(users.filter((file) => !MAY_KNOW.test(file))).toEqual([]);
  expect(users).not.toContain('electron/shell/browser.ts');
  expect(users.length).toBeGreaterThan(2);
});
