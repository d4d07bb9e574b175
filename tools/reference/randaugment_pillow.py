"""Fixtures of RandAugment: what timm 0.3.2 (the published requirements.txt) on Pillow makes of a picture.

  python tools/reference/randaugment_pillow.py test/fixtures/augment/input.png test/fixtures/randaugment

Needs Pillow and NumPy, and timm's auto_augment.py (`pip install --no-deps timm==0.3.2`); no PyTorch. Writes a PNG for each
operation, its cases one below the other, composite.png with whole policies, and cases.json.
"""
import importlib.util, json, random, sys
from pathlib import Path
import numpy as np
from PIL import Image, ImageOps

source = Path(importlib.util.find_spec("timm").submodule_search_locations[0]) / "data" / "auto_augment.py"
spec = importlib.util.spec_from_file_location("auto_augment", source)
aa = importlib.util.module_from_spec(spec)
spec.loader.exec_module(aa)

SIDE = 64
LEVELS = [0, 1, 4.5, 9, 9.37, 10]
FILL = (124, 116, 104)  # round(255 * ImageNet's mean)
HPARAMS = dict(translate_const=int(SIDE * 0.45), img_mean=FILL, interpolation=Image.BICUBIC, magnitude_std=0.5)

posterize = ImageOps.posterize
# Pillow of those days took 0 bits, which is black; today's refuses it.
ImageOps.posterize = lambda img, bits: posterize(img, bits) if bits else img.point(lambda _: 0)


class Draws:
    """Stands for `random` in auto_augment.py: gives what is written down."""

    def __init__(self):
        self.log, self.sign = [], None

    def random(self):
        value = rng.random() if self.sign is None else (0.9 if self.sign < 0 else 0.1)
        self.log.append(value)
        return value

    def gauss(self, mean, std):
        value = rng.gauss(mean, std)
        self.log.append(value)
        return value


rng = random.Random(5)
draws = aa.random = Draws()
full = Image.open(sys.argv[1]).convert("RGB")
picture = full.crop((40, 50, 40 + SIDE, 50 + SIDE))
out = Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)
picture.save(out / "input.png")


def save(name, images):
    sheet = Image.new("RGB", (SIDE, SIDE * len(images)))
    for i, image in enumerate(images):
        sheet.paste(image, (0, i * SIDE))
    sheet.save(out / f"{name}.png", optimize=True)


cases = {}
plain = [n for n in aa._RAND_TRANSFORMS]
for increasing, names in ((False, plain), (True, aa._RAND_INCREASING_TRANSFORMS)):
    for ours, name in zip(plain, names):
        if increasing and name == ours:
            continue  # the same function
        level_fn = aa.LEVEL_TO_ARG[name]
        op = aa.AugmentOp(name, prob=1.0, magnitude=9, hparams=HPARAMS)
        made = []
        for level in LEVELS if level_fn else [9]:
            for sign in (1, -1):
                draws.sign, draws.log = sign, []
                args = level_fn(level, HPARAMS) if level_fn else ()
                if sign < 0 and not draws.log:
                    continue  # it has one direction
                image = op.aug_fn(picture, *args, **op.kwargs)
                made.append((dict(level=level, sign=sign, increasing=increasing, amount=args[0] if args else None), image))
        cases[name] = dict(op=ours, cases=[case for case, _ in made])
        save(name, [image for _, image in made])

draws.sign = None
policies, images = [], []
for words in ["rand-m9-mstd0.5-inc1"] * 8 + ["rand-m5-n3-mstd1", "rand-m10-n1-inc1"]:
    hparams = {k: v for k, v in HPARAMS.items() if k != "magnitude_std"}
    transform = aa.rand_augment_transform(words, hparams)
    chosen = [rng.randrange(len(transform.ops)) for _ in range(transform.num_layers)]
    np.random.choice = lambda ops, n, replace, p: [ops[i] for i in chosen]
    draws.log = []
    images.append(transform(picture))
    policies.append(dict(words=words, chosen=chosen, draws=draws.log))
save("composite", images)
(out / "cases.json").write_text(json.dumps(dict(fill=FILL, operations=cases, policies=policies), indent=1) + "\n")
