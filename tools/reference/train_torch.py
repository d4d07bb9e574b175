"""A whole training of ConMIM or MAE in PyTorch, with the settings of a run of the workbench: what stands beside that run in docs/methods.md.

  python train_torch.py RUN.json FOLDER OUT.safetensors [--seed 0] [--workers 1] [--threads 2]

RUN.json is what `conmim show RUN --json` printed: `config` and `total_steps`. FOLDER has the images, also in folders of classes. Network and step are
step_torch.py's, views are made by torchvision and Pillow, weights start as the published codes start them, everything is drawn by PyTorch. OUT has the published
names: `conmim import-weights OUT` reads it, and `conmim evaluate` says what it is worth. Needs torch, torchvision, safetensors.
"""
import argparse, json, math, os, random, time
import numpy as np, torch, torch.nn as nn
from PIL import Image, ImageFilter, ImageOps
from safetensors.torch import save_file
from torchvision import transforms as T
from step_torch import METHODS, Trainer

class Views:
    """The views of an image, and which of its patches are hidden: those of datasets.py of ConMIM, and of main_pretrain.py of MAE."""
    def __init__(self, config):
        self.c = config; m, a = config["model"], config["augment"]; self.a, self.grid = a, m["image_size"] // m["patch_size"]
        filters = dict(bicubic=T.InterpolationMode.BICUBIC, bilinear=T.InterpolationMode.BILINEAR, lanczos=T.InterpolationMode.LANCZOS)
        self.crop = T.Compose([T.RandomHorizontalFlip(a["flip"]), T.RandomResizedCrop(m["image_size"], a["crop_scale"], a["crop_ratio"], filters[a["interpolation"]])])
        jitter = T.RandomApply([T.ColorJitter(a["brightness"], a["contrast"], a["saturation"], a["hue"])], a["jitter"])
        self.strong, self.last = T.Compose([jitter, T.RandomGrayscale(a["gray"]), self.blur, self.solarize]), T.Compose([T.ToTensor(), T.Normalize(a["mean"], a["std"])])
    def blur(self, image): return image.filter(ImageFilter.GaussianBlur(random.uniform(*self.a["blur_radius"]))) if random.random() < self.a["blur"] else image
    def solarize(self, image): return ImageOps.solarize(image, self.a["solarize_threshold"]) if random.random() < self.a["solarize"] else image
    def mask(self):
        """[K], true = hidden: single patches of MAE, units of several of ConMIM."""
        k = self.c["mask"]; unit = k.get("unit", 0) // self.c["model"]["patch_size"] if k.get("kind") == "random_mps32" else 1; n = self.grid // unit
        # Of MAE so many are kept as its code keeps: int(K (1 - ratio)); of ConMIM so many units are hidden: ceil(ratio of all).
        hidden = math.ceil(k["ratio"] * n * n) if "kind" in k else n * n - int(n * n * (1 - k["ratio"]))
        mask = torch.zeros(n * n, dtype=torch.bool); mask[torch.randperm(n * n)[:hidden]] = True
        return mask.view(n, n).repeat_interleave(unit, 0).repeat_interleave(unit, 1).flatten()
    def __call__(self, path):
        crop = self.crop(Image.open(path).convert("RGB"))
        if self.c["method"]["name"] == "mae": return dict(image=self.last(crop)), self.mask()
        draw = lambda kind: self.last(self.strong(crop) if kind == "strong" else crop); v = self.c["views"]
        return dict(student=draw(v["student"]), teacher=draw(v["teacher"])), self.mask()

class Images(torch.utils.data.Dataset):
    def __init__(self, folder, views):
        self.files = sorted(os.path.join(d, f) for d, _, names in os.walk(folder) for f in names if f.lower().endswith((".jpg", ".jpeg", ".png"))); self.views = views
    def __len__(self): return len(self.files)
    def __getitem__(self, i): return self.views(self.files[i])

def seeded(_): seed = torch.initial_seed() % 2 ** 32; random.seed(seed); np.random.seed(seed)

def sincos(dim, grid):
    """[1, 1 + grid^2, dim] of MAE's pos_embed.py: a quarter each of sine and cosine of x, then of y; CLS has none."""
    rates = 1 / 10000 ** (torch.arange(dim // 4, dtype=torch.float64) / (dim / 4)); y, x = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    parts = [f(p.flatten()[:, None] * rates) for p in (x, y) for f in (torch.sin, torch.cos)]
    return torch.cat((torch.zeros(1, dim), torch.cat(parts, 1).float()))[None]

def start_mae(net):
    """models_mae.py: Xavier for matrices, the patch embedding as one; tokens of deviation 0.02."""
    for m in net.modules():
        if isinstance(m, nn.Linear): nn.init.xavier_uniform_(m.weight); nn.init.zeros_(m.bias)
    patch = net.encoder.patch_embed.proj; nn.init.xavier_uniform_(patch.weight.data.view(len(patch.weight), -1))
    for token in (net.encoder.cls_token, net.mask_token): nn.init.normal_(token, std=.02)
    for p in (net.encoder.pos_embed, net.decoder_pos_embed): p.data.copy_(sincos(p.shape[2], net.encoder.grid))

def cosine(start, end, step, steps): return end + (start - end) * (1 + math.cos(math.pi * step / steps)) / 2

def main():
    p = argparse.ArgumentParser(); p.add_argument("run"); p.add_argument("folder"); p.add_argument("out"); p.add_argument("--seed", type=int, default=0)
    p.add_argument("--workers", type=int, default=1); p.add_argument("--threads", type=int, default=os.cpu_count()); a = p.parse_args()
    said = json.load(open(a.run)); c, steps = said["config"], said["total_steps"]; name, o, batch = c["method"]["name"], c["optimizer"], c["train"]["batch_size"]
    if name not in ("conmim", "mae"): raise SystemExit(f"This trains conmim or mae, not {name}.")
    torch.manual_seed(a.seed); random.seed(a.seed); torch.set_num_threads(a.threads)
    method = METHODS[name](c); net = method.student
    if name == "mae": start_mae(net)
    for part in (net, method.teacher):
        if part is not None: part.train()
    trainer = Trainer(method, o); images = Images(a.folder, Views(c))
    loader = torch.utils.data.DataLoader(images, batch, shuffle=True, drop_last=True, num_workers=a.workers, worker_init_fn=seeded)
    warmup, step, began, sums = o["warmup_steps"] or 0, 0, time.time(), []
    while step < steps:
        for views, mask in loader:
            if step == steps: break
            lr = o["warmup_lr"] + (o["lr"] - o["warmup_lr"]) * step / max(1, warmup - 1) if step < warmup else cosine(o["lr"], o["min_lr"], step - warmup, steps - warmup)
            momentum = cosine(c["momentum"]["start"], c["momentum"]["end"], step, steps) if "momentum" in c else 0
            sums.append(trainer.step(views, mask, lr, momentum)[0].item()); step += 1
            if step % 50 == 0 or step == steps: print(f"step {step}/{steps}  loss {sum(sums) / len(sums):.4f}  {step * batch / (time.time() - began):.1f} images/s", flush=True); sums = []
    save_file({n.removeprefix("encoder."): t.detach().contiguous() for n, t in net.state_dict().items()}, a.out)

if __name__ == "__main__": main()
