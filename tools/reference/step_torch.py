"""A training step of each method in PyTorch, to time: networks, arithmetic and order of work of the published codes, written anew; random weights and images.

  python step_torch.py WORK.json [--steps 4] [--precision fp32|bf16] [--cpu] [--json]

WORK.json is what `conmim bench step --json` printed: its `work` has the configuration, the views of an image, and how many patches are hidden. A step is all
forward passes, targets of a tokenizer among them, backward pass, clipping, AdamW, moving average, centres. Needs torch (CPU or CUDA).
"""
import argparse, copy, json, resource, time
import torch, torch.nn as nn, torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode
from vit_torch import Block, ViT, trunc

# ---------------------------------------------------------------- heads
def bn_mlp(layers, start, hidden, out):
    """Linear without bias, BatchNorm, ReLU, ...; the last BatchNorm has neither scale nor shift, and no ReLU follows it."""
    parts = []
    for i in range(layers):
        last = i == layers - 1; width = out if last else hidden
        parts += [nn.Linear(start if i == 0 else hidden, width, bias=False), nn.BatchNorm1d(width, affine=not last)] + ([] if last else [nn.ReLU(True)])
    return nn.Sequential(*parts)

class Headed(ViT):
    """With a head on CLS."""
    def __init__(self, model, head, frozen=False):
        super().__init__(model); self.head = head
        if frozen: self.patch_embed.requires_grad_(False)
    def forward(self, x): return self.head(super().forward(x)[:, 0])

# ---------------------------------------------------------------- methods
class Method:
    """student is trained; teacher, where there is one, follows it, ahead of the step where `before` is set. Of `frozen` nothing is updated yet."""
    teacher, before, frozen = None, False, ()
    def loss(self, views, mask): raise NotImplementedError

class Projected(ViT):
    def __init__(self, model, projector):
        super().__init__(model, apart=True, mask_token=True)
        self.projectors = bn_mlp(projector["layers"], model["embed_dim"], projector["hidden"], projector["out"]); self.start()
    def forward(self, x, mask):
        t = super().forward(x, mask); B, N, _ = t.shape
        return F.normalize(self.projectors(t.flatten(0, 1)).reshape(B, N, -1)[:, 1:], dim=-1)

class ConMIM(Method):
    def __init__(self, c):
        self.student, self.temperature = Projected(c["model"], c["projector"]), c["contrast"]["temperature"]
        self.teacher = copy.deepcopy(self.student)
    def loss(self, views, mask):
        with torch.no_grad(): keys = self.teacher(views["teacher"], torch.zeros_like(mask))
        q = self.student(views["student"], mask); logits = (q @ keys.transpose(1, 2) / self.temperature)[mask]
        return F.cross_entropy(logits, torch.arange(mask.shape[1], device=q.device).expand(len(q), -1)[mask])

class Autoencoder(nn.Module):
    def __init__(self, model, decoder):
        super().__init__()
        dim, eps, p = decoder["embed_dim"], model["layer_norm_eps"], model["patch_size"]; K = (model["image_size"] // p) ** 2
        self.encoder, self.decoder_embed, self.mask_token = ViT(model), nn.Linear(model["embed_dim"], dim), nn.Parameter(torch.zeros(1, 1, dim))
        self.decoder_pos_embed = nn.Parameter(torch.zeros(1, 1 + K, dim), False)
        self.decoder_blocks = nn.ModuleList(Block(dim, decoder["num_heads"], model["mlp_ratio"], eps=eps) for _ in range(decoder["depth"]))
        self.decoder_norm, self.decoder_pred = nn.LayerNorm(dim, eps), nn.Linear(dim, 3 * p ** 2)
    def forward(self, x, mask):
        """Pixels of every patch, [B, K, 3 patch^2]."""
        kept = (~mask).nonzero()[:, 1].view(len(x), -1)
        t = self.decoder_embed(self.encoder(x, kept=kept)); B, _, D = t.shape
        full = self.mask_token.to(t.dtype).expand(B, mask.shape[1], D).scatter(1, kept[..., None].expand(-1, -1, D), t[:, 1:])
        t = torch.cat((t[:, :1], full), 1) + self.decoder_pos_embed
        for b in self.decoder_blocks: t = b(t)
        return self.decoder_pred(self.decoder_norm(t))[:, 1:]

class MAE(Method):
    def __init__(self, c): self.student, self.patch, self.normalised = Autoencoder(c["model"], c["decoder"]), c["model"]["patch_size"], c["target"]["normalised"]
    def loss(self, views, mask):
        x, p = views["image"], self.patch; B, _, S, _ = x.shape; n = S // p
        t = x.view(B, 3, n, p, n, p).permute(0, 2, 4, 3, 5, 1).reshape(B, n * n, -1)
        if self.normalised: t = (t - t.mean(-1, keepdim=True)) / (t.var(-1, keepdim=True) + 1e-6).sqrt()
        return ((self.student(x, mask) - t).square().mean(-1) * mask).sum() / mask.sum()

class MoCo(Method):
    """v3: the dictionary is the batch."""
    before = True
    def __init__(self, c):
        h, dim = c["head"], c["model"]["embed_dim"]
        encoder = Headed(c["model"], bn_mlp(h["layers"], dim, h["hidden"], h["out"]), c["encoder"]["frozen_patch_embedding"])
        predictor = bn_mlp(c["predictor"]["layers"], h["out"], c["predictor"]["hidden"], h["out"])
        self.student, self.temperature = nn.ModuleDict(dict(encoder=encoder, predictor=predictor)), c["contrast"]["temperature"]
        self.teacher = nn.ModuleDict(dict(encoder=copy.deepcopy(encoder)))
    def loss(self, views, mask):
        x1, x2 = views["first"], views["second"]; query = lambda x: self.student["predictor"](self.student["encoder"](x)); key = self.teacher["encoder"]
        q1, q2 = query(x1), query(x2)
        with torch.no_grad(): k1, k2 = key(x1), key(x2)
        return self.contrast(q1, k2) + self.contrast(q2, k1)
    def contrast(self, q, k):
        q, k = F.normalize(q, dim=1), F.normalize(k, dim=1)
        return F.cross_entropy(q @ k.T / self.temperature, torch.arange(len(q), device=q.device)) * 2 * self.temperature

class DenseCL(Method):
    before = True
    def __init__(self, c):
        n, k = c["neck"], c["contrast"]; neck = lambda: nn.Sequential(nn.Linear(c["model"]["embed_dim"], n["hidden"]), nn.ReLU(True), nn.Linear(n["hidden"], n["out"]))
        self.student, self.temperature, self.weight, self.at = nn.ModuleDict(dict(encoder=ViT(c["model"]), whole=neck(), dense=neck())), k["temperature"], c["dense"]["lambda"], 0
        if c["encoder"]["frozen_patch_embedding"]: self.student["encoder"].patch_embed.requires_grad_(False)
        self.teacher, self.queues = copy.deepcopy(self.student), [F.normalize(torch.randn(n["out"], k["queue"]), dim=0) for _ in range(2)]
    def nce(self, q, k, queue):
        logits = torch.cat(((q * k).sum(1, keepdim=True), q @ queue), 1) / self.temperature
        return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long, device=q.device))
    def loss(self, views, mask):
        unit = lambda t: F.normalize(t, dim=-1)
        def parts(net, x): f = net["encoder"](x)[:, 1:]; return f, net["whole"](f.mean(1)), net["dense"](f)  # [B, K, dim], [B, out], [B, K, out]
        f, q, dense = parts(self.student, views["first"]); self.queues = [queue.to(q.device) for queue in self.queues]
        with torch.no_grad():
            g, k, keys = parts(self.teacher, views["second"]); match = (unit(f) @ unit(g).mT).argmax(2)  # by the encoder's features
            k, mean, matched = unit(k), unit(keys.mean(1)), unit(keys).take_along_dim(match[..., None], 1)
        loss = (1 - self.weight) * self.nce(unit(q), k, self.queues[0]) + self.weight * self.nce(unit(dense).flatten(0, 1), matched.flatten(0, 1), self.queues[1])
        self.queues = [queue.clone() for queue in self.queues]  # the way back needs what they were
        for queue, new in zip(self.queues, (k, mean)): queue[:, self.at : self.at + len(k)] = new.T
        self.at = (self.at + len(k)) % self.queues[0].shape[1]
        return loss

class SimCLR(Method):
    def __init__(self, c):
        h = c["head"]; head = bn_mlp(h["layers"], c["model"]["embed_dim"], h["hidden"], h["out"])
        self.student, self.temperature = Headed(c["model"], head, c["encoder"]["frozen_patch_embedding"]), c["contrast"]["temperature"]
    def loss(self, views, mask):
        u = F.normalize(self.student(torch.cat((views["first"], views["second"]))), dim=1); n = len(u) // 2
        logits = (u @ u.T / self.temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool, device=u.device), -torch.inf)
        return F.cross_entropy(logits, torch.arange(2 * n, device=u.device).roll(n))

def crops(views):
    """Those of one size together, large ones first."""
    return [torch.cat([x for n, x in views.items() if n.startswith("small") == small]) for small in (False, True) if not small or "small 1" in views]

class SwAV(Method):
    """Without a queue."""
    frozen = ("prototypes",)
    def __init__(self, c):
        h, p = c["head"], c["prototypes"]; self.p = p
        head = nn.Sequential(nn.Linear(c["model"]["embed_dim"], h["hidden"]), nn.BatchNorm1d(h["hidden"]), nn.ReLU(True), nn.Linear(h["hidden"], h["out"]))
        self.student = nn.ModuleDict(dict(encoder=ViT(c["model"]), head=head, prototypes=nn.Linear(h["out"], p["count"], bias=False)))
    def sinkhorn(self, scores):
        q = torch.exp((scores - scores.max()) / self.p["epsilon"]); q = q / q.sum(); R, K = q.shape
        for _ in range(self.p["iterations"]):
            for axis in (0, 1): q = q / q.sum(axis, keepdim=True) / (K if axis == 0 else R)
        return q * R
    def loss(self, views, mask):
        s, w = self.student, self.student["prototypes"].weight
        with torch.no_grad(): w.copy_(F.normalize(w, dim=1))
        x = torch.cat([s["encoder"](x)[:, 0] for x in crops(views)])
        scores = (F.normalize(s["head"](x), dim=1) @ w.T).float().chunk(len(views))
        with torch.no_grad(): codes = [self.sinkhorn(scores[i]) for i in (0, 1)]
        log = [F.log_softmax(one / self.p["temperature"], 1) for one in scores]
        return sum(-(q * log[v]).sum(1).mean() for i, q in enumerate(codes) for v in range(len(views)) if v != i) / (2 * (len(views) - 1))

class WeightNormed(nn.Module):
    def __init__(self, dim, out): super().__init__(); self.weight_g, self.weight_v = nn.Parameter(torch.ones(out, 1)), nn.Parameter(trunc(torch.empty(out, dim)))
    def forward(self, x): return x @ (self.weight_g * self.weight_v / self.weight_v.norm(dim=1, keepdim=True)).mT

class Distilled(nn.Module):
    def __init__(self, c, mask_token):
        super().__init__()
        h = c["head"]; widths = [c["model"]["embed_dim"]] + [h["hidden"]] * (h["layers"] - 1) + [h["bottleneck"]]
        layers = [part for a, b in zip(widths, widths[1:]) for part in (nn.Linear(a, b), nn.GELU())]
        self.encoder, self.mlp, self.last = ViT(c["model"], mask_token=mask_token), nn.Sequential(*layers[:-1]), WeightNormed(h["bottleneck"], h["out"])
        self.last2 = self.last if h["shared"] else WeightNormed(h["bottleneck"], h["out"])
    def head(self, t):  # tokens [.., 1 + K, dim], or CLS alone [.., dim]
        z = F.normalize(self.mlp(t), dim=-1)
        return (self.last(z[:, 0]), self.last2(z[:, 1:])) if t.ndim == 3 else self.last(z)

class IBOT(Method):
    """The head sees every patch, as published, and the loss takes the masked ones."""
    frozen = ("last",)
    def __init__(self, c):
        self.student, self.teacher, self.t, self.m, self.drop = Distilled(c, True), Distilled(c, False), c["temperatures"], c["centres"], c["loss"]["drop_path"]
        self.center, self.center2 = torch.zeros(1, c["head"]["out"]), torch.zeros(1, 1, c["head"]["out"])
    def loss(self, views, mask):
        whole, *small = crops(views); B = len(views["first"]); s, t = self.student, self.t; self.center, self.center2 = self.center.to(whole.device), self.center2.to(whole.device)
        with torch.no_grad():
            tc, tp = (z.float() for z in self.teacher.head(self.teacher.encoder(whole)))
            target = ((tc - self.center) / t["teacher_start"]).softmax(-1).split(B); target2 = ((tp - self.center2) / t["patch_start"]).softmax(-1)
        cls, patch = s.head(s.encoder(whole, mask, drop=self.drop))
        cls = torch.cat([cls, *(s.head(s.encoder(x, drop=self.drop)[:, 0]) for x in small)]).split(B)
        log, log2 = [F.log_softmax(z / t["student"], -1) for z in cls], F.log_softmax(patch / t["student"], -1)
        pair = [-(target[q] * log[v]).sum(-1).mean() for q in range(len(target)) for v in range(len(cls)) if v != q]
        each = -(target2 * log2).sum(-1)
        with torch.no_grad():
            self.center = self.center * self.m["momentum"] + tc.mean(0)[None] * (1 - self.m["momentum"])
            self.center2 = self.center2 * self.m["patch_momentum"] + tp.mean((0, 1))[None, None] * (1 - self.m["patch_momentum"])
        return sum(pair) / len(pair) + ((each * mask).sum(-1) / mask.sum(-1).clamp(min=1)).mean()

class Tokenizer(nn.Module):
    """The encoder of VQ-KD and its codes: what gives a student its targets."""
    def __init__(self, model, t):
        super().__init__()
        side = model["image_size"] // model["patch_size"] * t["patch_size"]; d = t["embed_dim"]
        own = dict(image_size=side, position="absolute", layer_scale_init=0, layer_norm_eps=1e-6)
        self.encoder, self.head = ViT({**own, **{k: t[k] for k in ("patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio")}}, apart=True), nn.Sequential(nn.Linear(d, d), nn.Tanh(), nn.Linear(d, t["width"]))
        self.register_buffer("codes", F.normalize(torch.randn(t["codes"], t["width"]), dim=1))
    @torch.no_grad()
    def rows(self, x): return F.normalize(self.head(self.encoder(x)[:, 1:]), dim=-1)
    @torch.no_grad()
    def ids(self, x):
        z = self.rows(x).flatten(0, 1); w = self.codes
        return (z.pow(2).sum(1, keepdim=True) + w.pow(2).sum(1) - 2 * z @ w.t()).argmin(1).view(len(x), -1)
    @torch.no_grad()
    def logits(self, x): return self.rows(x) @ self.codes.t()

class Student(ViT):
    def __init__(self, c): super().__init__(c["model"], apart=True, mask_token=True); self.lm_head = nn.Linear(c["model"]["embed_dim"], c["tokenizer"]["codes"]); self.start()

class BEiT(Method):
    def __init__(self, c): self.student, self.tokenizer, self.drop = Student(c), Tokenizer(c["model"], c["tokenizer"]), c["student"]["drop_path"]
    def loss(self, views, mask):
        labels = self.tokenizer.ids(views["tokenizer"])[mask]
        return F.cross_entropy(self.student.lm_head(self.student(views["image"], mask, drop=self.drop)[:, 1:][mask]), labels)

class McBEiT(BEiT):
    """The head sees every patch, as published."""
    def __init__(self, c): super().__init__(c); self.c = c["targets"]
    def loss(self, views, mask):
        omega, p = self.c["omega"], (self.tokenizer.logits(views["tokenizer"]).float() / (self.c["temperature"] or .1)).softmax(-1)
        t = self.student(views["image"], mask, drop=self.drop)[:, 1:]; f = F.normalize(t, dim=-1)
        w = (f @ f.transpose(1, 2) / self.c["similarity_temperature"]).softmax(-1)  # the gradient goes through it too
        return (-(omega * (w @ p) + (1 - omega) * p) * F.log_softmax(self.student.lm_head(t), -1))[mask].sum(-1).mean()

METHODS = {"conmim": ConMIM, "mae": MAE, "moco": MoCo, "densecl": DenseCL, "simclr": SimCLR, "swav": SwAV, "ibot": IBOT, "beit": BEiT, "mc-beit": McBEiT, "peco": BEiT}

# ---------------------------------------------------------------- a step
class Trainer:
    def __init__(self, method, optimizer):
        self.method, self.clip, self.each = method, optimizer["clip_grad"] or float("inf"), optimizer["clip_each"]
        self.named = {n: p for n, p in method.student.named_parameters() if p.requires_grad}
        no = lambda n, p: p.ndim == 1 or n.endswith(".bias") or n.split(".")[-1] in ("pos_embed", "cls_token")
        self.opt = torch.optim.AdamW([{"params": [p for n, p in self.named.items() if no(n, p) == one], "weight_decay": 0. if one else optimizer["weight_decay"]} for one in (False, True)],
                                     betas=optimizer["betas"], eps=optimizer["eps"])
        student = dict(method.student.named_parameters())
        self.pairs = [(t, student[n]) for n, t in method.teacher.named_parameters()] if method.teacher else []
    def follow(self, momentum):
        with torch.no_grad():
            for t, s in self.pairs: t.mul_(momentum).add_((1 - momentum) * s)
    def step(self, views, mask, lr, momentum, autocast=None):
        for g in self.opt.param_groups: g["lr"] = lr
        if self.method.before: self.follow(momentum)
        with torch.autocast(next(iter(views.values())).device.type, dtype=torch.bfloat16, enabled=autocast == "bf16"): loss = self.method.loss(views, mask)
        self.opt.zero_grad(); loss.backward(); params = [p for p in self.named.values() if p.grad is not None]
        if self.each:
            for p in params: p.grad.mul_((self.clip / (p.grad.norm() + 1e-6)).clamp(max=1))
        norm = nn.utils.clip_grad_norm_(params, float("inf") if self.each else self.clip)
        for n, p in self.named.items():
            if n.startswith(self.method.frozen): p.grad = None  # as at a run's beginning
        self.opt.step()
        if not self.method.before: self.follow(momentum)
        return loss.detach(), norm

def parameters(model):
    """Numbers that are trained, but for the bias of the attention's keys: a softmax does not see it, and the workbench has none."""
    return sum(p.numel() - (p.numel() // 3 if n.endswith("qkv.bias") else 0) for n, p in model.named_parameters() if p.requires_grad)

def hidden(rows, patches, count, device):
    """[rows, patches], in all so many hidden, of each row as many as of another or one more."""
    each = torch.full((rows, 1), count // max(1, rows), device=device); each[: count - rows * (count // max(1, rows))] += 1
    return torch.rand(rows, patches, device=device).argsort(-1).argsort(-1) < each

def main():
    a = argparse.ArgumentParser(); a.add_argument("work"); a.add_argument("--steps", type=int, default=4); a.add_argument("--precision", default="fp32")
    a.add_argument("--cpu", action="store_true"); a.add_argument("--json", action="store_true"); a = a.parse_args()
    said = json.load(open(a.work)); batch, work = said["batch"], said["work"]; c = work["config"]; name = c["method"]["name"]
    if name not in METHODS: raise SystemExit(f"There is no step of {name} here. There are: {', '.join(METHODS)}.")
    torch.manual_seed(0); dev = "cuda" if torch.cuda.is_available() and not a.cpu else "cpu"
    method = METHODS[name](c)
    for part in vars(method).values():
        if isinstance(part, nn.Module): part.to(dev).train()
    t = Trainer(method, c["optimizer"]); K = (c["model"]["image_size"] // c["model"]["patch_size"]) ** 2; count, seconds, used = FlopCounterMode(display=False), [], []; middle = lambda times: sorted(times)[len(times) // 2]
    for i in range(a.steps + 1):
        views = {n: torch.randn(batch, 3, side, side, device=dev) for n, side in work["views"].items()}; mask = hidden(batch * work["masked_views"], K, work["masked"], dev)
        step = lambda: t.step(views, mask, 5e-4, .996, autocast=a.precision)[0].item()
        if i == 0:
            with count: step()
            continue
        began, spent = time.perf_counter(), time.process_time(); step(); seconds.append(time.perf_counter() - began); used.append(time.process_time() - spent)
    result = dict(engine="pytorch " + torch.__version__, device=dev, method=name, model=said["model"], image=said["image"], batch=batch, precision=a.precision,
                  images_per_second=batch / middle(seconds), best_images_per_second=batch / min(seconds), images_per_second_core=batch / middle(used),
                  peak_memory_gb=torch.cuda.max_memory_allocated() / 1e9 if dev == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
                  parameters=parameters(method.student), flops_per_image=count.get_total_flops() / batch)
    print(json.dumps(result) if a.json else "\n".join(f"{k}: {v}" for k, v in result.items()))

if __name__ == "__main__": main()
