"""The published data pipeline (datasets.py of TencentARC/ConMIM) on torchvision and Pillow, timed on one core.

  python loader_torchvision.py FOLDER [--images N] [--size 224] [--json]

Each JPEG is read and decoded once, flipped, cropped and resized (bicubic); the student's view is that crop, the teacher's
has colour jitter, greyscale, blur and solarisation besides. Both become normalised tensors; the mask is of 32 px units.
Files are gone round until N views were made, after one warm-up round. `images_per_second_core` is images over the
processor's seconds of this process, so that what else the machine does counts for little.
"""
import argparse, json, os, random, time
import numpy as np, PIL, torch, torchvision
from PIL import Image, ImageFilter, ImageOps
from torchvision import transforms as T

class Blur:
    def __call__(self, image):
        return image.filter(ImageFilter.GaussianBlur(random.uniform(.1, 2))) if random.random() <= .1 else image

class Solarise:
    def __call__(self, image): return ImageOps.solarize(image) if random.random() < .2 else image

class Mask:
    """Three quarters of the 32 px units, at the resolution of 16 px patches."""
    def __init__(self, size): self.units = size // 32
    def __call__(self):
        mask = np.zeros(self.units ** 2, dtype=int)
        mask[np.random.permutation(mask.size)[:int(np.ceil(.75 * mask.size))]] = 1
        return mask.reshape(self.units, self.units).repeat(2, 0).repeat(2, 1)

class Views:
    def __init__(self, size):
        last = [T.ToTensor(), T.Normalize((.485, .456, .406), (.229, .224, .225))]
        self.both = T.Compose([T.RandomHorizontalFlip(), T.RandomResizedCrop(size, interpolation=T.InterpolationMode.BICUBIC)])
        self.student = T.Compose(last)
        self.teacher = T.Compose([T.RandomApply([T.ColorJitter(.4, .4, .2, .1)], .8), T.RandomGrayscale(.2), Blur(), Solarise()] + last)
        self.mask = Mask(size)
    def __call__(self, path):
        with open(path, "rb") as file: image = Image.open(file).convert("RGB")
        crop = self.both(image)
        return self.student(crop), self.teacher(crop), self.mask()

def bench(a):
    torch.set_num_threads(1); torch.manual_seed(0); random.seed(0); np.random.seed(0)
    files = sorted(e.path for e in os.scandir(a.folder) if e.name.lower().endswith((".jpg", ".jpeg")))
    views = Views(a.size)
    for path in files: views(path)
    wall, core = time.perf_counter(), time.process_time()
    for i in range(a.images): views(files[i % len(files)])
    wall, core = time.perf_counter() - wall, time.process_time() - core
    r = dict(engine=f"torchvision {torchvision.__version__} on Pillow {PIL.__version__}", image=a.size, files=len(files), images=a.images,
             images_per_second=a.images / wall, images_per_second_core=a.images / core)
    print(json.dumps(r) if a.json else "\n".join(f"{k}: {v}" for k, v in r.items()))

if __name__ == "__main__":
    p = argparse.ArgumentParser(); p.add_argument("folder"); p.add_argument("--images", type=int, default=600)
    p.add_argument("--size", type=int, default=224); p.add_argument("--json", action="store_true"); bench(p.parse_args())
