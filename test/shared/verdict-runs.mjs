// The runs that tools/verdicts/record.mjs trains: what each is, and what has to be said of it.
const model = { image_size: 16, patch_size: 4, embed_dim: 32, depth: 1, num_heads: 2 };
const optimizer = { lr: 3e-3, warmup_epochs: 0, warmup_steps: 20, min_lr: 1e-5, clip_grad: 1 };
const common = {
  model,
  optimizer,
  checkpoint: { every_steps: 50 },
  metrics: { features_every: 25, checkpoint_images: 400 },
  data: { workers: 1 },
};
/** Light and contrast say nothing of the class, colours do: views differ in light. */
const colours = { jitter: 1, brightness: 0.6, contrast: 0.6, saturation: 0, hue: 0, gray: 0, blur: 0, solarize: 0 };

/** Settings over others, section by section. */
const over = (base, changes) => {
  const all = { ...base };
  for (const [section, values] of Object.entries(changes)) all[section] = { ...all[section], ...values };
  return all;
};
const train = (steps, seed = 0) => ({ train: { batch_size: 16, steps, seed } });
const of = (name, sections, steps, seed) =>
  over({ method: { name }, ...common }, { ...sections, ...train(steps, seed) });

const conmim = (changes = {}, steps = 340, seed = 0) =>
  over(
    of(
      'conmim',
      {
        model: { position: 'absolute', layer_scale_init: 1 },
        projector: { hidden: 64, out: 32 },
        mask: { kind: 'uniform' },
        momentum: { start: 0.99, end: 1 },
        augment: { ...colours, crop_scale: [0.3, 0.6] },
      },
      steps,
      seed,
    ),
    changes,
  );
/** Among the keys of a batch place is not enough: what tells images apart counts too. */
const conmimOfBatch = (changes = {}, steps = 340, seed = 0) =>
  conmim(over({ contrast: { dictionary: 'batch' } }, changes), steps, seed);
const simclr = (changes = {}, steps = 340, seed = 0) =>
  over(
    of('simclr', { head: { hidden: 64, out: 32 }, augment: { crop_scale: [0.2, 1], ...colours } }, steps, seed),
    changes,
  );
const moco = (changes = {}, steps = 340, seed = 0) =>
  over(
    of(
      'moco',
      { head: { hidden: 64, out: 32 }, predictor: { hidden: 64 }, augment: { ...colours, crop_scale: [0.2, 1] } },
      steps,
      seed,
    ),
    changes,
  );
const mae = (changes = {}, steps = 340, seed = 0) =>
  over(
    of('mae', { decoder: { embed_dim: 32, depth: 1, num_heads: 2 }, augment: { crop_scale: [0.3, 0.6] } }, steps, seed),
    changes,
  );
const swav = (changes = {}, steps = 340, seed = 0) =>
  over(
    of(
      'swav',
      {
        crops: { small: 2, small_size: 8 },
        head: { hidden: 64, out: 32 },
        prototypes: { count: 32, epsilon: 0.02, frozen_steps: 30 },
        augment: colours,
      },
      steps,
      seed,
    ),
    changes,
  );
const densecl = (changes = {}, steps = 340, seed = 0) =>
  over(
    of(
      'densecl',
      {
        contrast: { queue: 128 },
        neck: { hidden: 64, out: 32 },
        encoder: { frozen_patch_embedding: false },
        momentum: { start: 0.99 },
      },
      steps,
      seed,
    ),
    changes,
  );
const ibot = (changes = {}, steps = 450, seed = 0) =>
  over(
    of(
      'ibot',
      {
        crops: { small: 2, small_size: 8 },
        head: { hidden: 64, bottleneck: 32, out: 64, frozen_steps: 50 },
        temperatures: { warmup_epochs: 5 },
        loss: { drop_path: 0 },
        momentum: { start: 0.99, end: 1 },
      },
      steps,
      seed,
    ),
    changes,
  );
const tokenizer = (changes = {}, steps = 340, seed = 0) =>
  over(of('tokenizer', { codebook: { codes: 64, width: 16 }, decoder: { depth: 1 } }, steps, seed), changes);

const healthy = (name, settings, data) => ({ name, healthy: true, settings, ...(data && { data }) });
/** @param verdict what it has to be called @param causes settings that have to be named, the likeliest first */
const wrong = (name, verdict, causes, settings, data) => ({
  name,
  healthy: false,
  verdict,
  causes,
  settings,
  ...(data && { data }),
});

export const RUNS = [
  healthy('conmim, keys of a batch', conmimOfBatch()),
  healthy('conmim, keys of a batch, seed 8', conmimOfBatch({}, 340, 8)),
  healthy('conmim, keys of a batch, seed 9', conmimOfBatch({}, 340, 9)),
  healthy('conmim, a longer run', conmimOfBatch({}, 600, 4)),
  healthy('conmim, a long warm-up', conmimOfBatch({ optimizer: { warmup_steps: 150 } }, 450, 5)),
  healthy('simclr, seed 0', simclr()),
  healthy('simclr, seed 1', simclr({}, 340, 1)),
  healthy('simclr, no classes', simclr({}, 340, 2), 'unnamed'),
  healthy('simclr, a longer run', simclr({}, 600, 3)),
  healthy('moco, seed 0', moco()),
  healthy('simclr, seed 4', simclr({}, 340, 4)),
  healthy('simclr, half the rate', simclr({ optimizer: { lr: 1.5e-3 } }, 340, 5)),
  healthy('simclr, seed 9', simclr({}, 340, 9)),
  healthy('simclr, larger crops', simclr({ augment: { crop_scale: [0.4, 1] } }, 340, 7)),
  healthy('moco, no classes', moco({}, 340, 2), 'unnamed'),
  healthy('mae, no classes', mae({}, 340, 2), 'unnamed'),
  healthy('mae, no classes, seed 3', mae({}, 340, 3), 'unnamed'),
  healthy('swav, seed 0', swav()),
  healthy('swav, seed 1', swav({}, 340, 1)),
  healthy('tokenizer, seed 0', tokenizer()),
  healthy('tokenizer, seed 1', tokenizer({}, 340, 1)),
  wrong('conmim, shared weights', 'diverging', ['momentum.schedule'], conmim({ momentum: { schedule: 'none' } })),
  wrong('conmim, temperature 5', 'places', ['contrast.temperature'], conmim({ contrast: { temperature: 5 } })),
  wrong(
    'conmim, relative positions',
    'not-started',
    ['model.position'],
    conmim({ model: { position: 'shared-relative-bias', layer_scale_init: 0.1 } }),
  ),
  wrong('conmim, no positions', 'not-started', ['model.position'], conmim({ model: { position: 'none' } })),
  wrong(
    'conmim, rate 0.3 unclipped',
    'not-started',
    ['optimizer.lr'],
    conmim({ optimizer: { lr: 0.3, clip_grad: null } }),
  ),
  wrong(
    'conmim, all framed alike',
    'places',
    ['augment.crop_scale'],
    conmim({ augment: { crop_scale: [0.8, 1], flip: 0 } }),
    'framed',
  ),
  wrong(
    'conmim, framed alike, seed 1',
    'places',
    ['augment.crop_scale'],
    conmim({ augment: { crop_scale: [0.8, 1], flip: 0 } }, 340, 1),
    'framed',
  ),
  wrong('conmim, no classes', 'places', ['augment.crop_scale'], conmim({}, 340, 2), 'unnamed'),
  wrong('simclr, rate 0.5', 'collapsed', ['optimizer.lr'], simclr({ optimizer: { lr: 0.5 } })),
  wrong('simclr, hardly any rate', 'not-started', ['optimizer.lr'], simclr({ optimizer: { lr: 1e-8, min_lr: 0 } })),
  wrong('moco, hardly any rate', 'not-started', ['optimizer.lr'], moco({ optimizer: { lr: 1e-8, min_lr: 0 } })),
  wrong('mae, hardly any rate', 'not-started', ['optimizer.lr'], mae({ optimizer: { lr: 1e-8, min_lr: 0 } })),
  wrong(
    'swav, blunt codes',
    'collapsed',
    ['prototypes.epsilon'],
    swav({ prototypes: { epsilon: 1, frozen_steps: 0 } }),
  ),
  wrong(
    'ibot, a blunt teacher',
    'collapsed',
    ['temperatures.teacher'],
    ibot({ temperatures: { teacher: 2, patch: 2 } }),
  ),
  wrong(
    'tokenizer, codes that die',
    'collapsed',
    ['codebook.revive_after'],
    tokenizer({ codebook: { revive_after: null }, optimizer: { lr: 0.02 } }),
  ),
  wrong('densecl, too few steps', 'no-gain', ['train.steps'], densecl()),
  wrong('simclr, on what has nothing to tell', 'not-started', [], simclr({}, 340, 1), 'framed'),
  wrong('simclr, longer than it needs', 'plateau', ['train.steps'], simclr({}, 1100, 6)),
];
