"""A PyTorch ConMIM step to compare with: same parameter names, arithmetic and order of work as the published recipe.

  python conmim_torch.py check FIXTURE_DIR          replay a fixture (test/fixtures) and print the largest differences
  python conmim_torch.py bench [--model vit-small] [--image 224] [--batch 8] [--steps 4] [--precision fp32|bf16] [--json]

Needs torch and safetensors (pip install torch safetensors), CPU or CUDA. Random weights and inputs in `bench`.
"""
import argparse, copy, json, math, os, resource, sys, time
import torch, torch.nn as nn, torch.nn.functional as F

MODELS = {"vit-tiny": (192, 12, 3), "vit-small": (384, 12, 6), "vit-base": (768, 12, 12), "vit-large": (1024, 24, 16)}

class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.q_bias, self.v_bias = nn.Parameter(torch.zeros(dim)), nn.Parameter(torch.zeros(dim))
        self.proj = nn.Linear(dim, dim)
    def forward(self, x, bias):
        B, N, C = x.shape
        qkv = F.linear(x, self.qkv.weight, torch.cat((self.q_bias, torch.zeros_like(self.v_bias), self.v_bias)))
        q, k, v = qkv.reshape(B, N, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        a = (q * self.scale) @ k.transpose(-2, -1)
        if bias is not None: a = a + bias
        return self.proj((a.softmax(-1) @ v).transpose(1, 2).reshape(B, N, C))

class Mlp(nn.Module):
    def __init__(self, dim):
        super().__init__(); self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
    def forward(self, x): return self.fc2(F.gelu(self.fc1(x)))

class Block(nn.Module):
    def __init__(self, dim, heads, init):
        super().__init__()
        self.norm1, self.attn, self.norm2, self.mlp = nn.LayerNorm(dim, 1e-6), Attention(dim, heads), nn.LayerNorm(dim, 1e-6), Mlp(dim)
        self.gamma_1, self.gamma_2 = nn.Parameter(init * torch.ones(dim)), nn.Parameter(init * torch.ones(dim))
    def forward(self, x, bias):
        x = x + self.gamma_1 * self.attn(self.norm1(x), bias)
        return x + self.gamma_2 * self.mlp(self.norm2(x))

class RelativePositionBias(nn.Module):
    def __init__(self, g, heads):
        super().__init__()
        self.n = g * g + 1
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * g - 1) ** 2 + 3, heads))
        y, x = torch.meshgrid(torch.arange(g), torch.arange(g), indexing="ij"); y, x = y.flatten(), x.flatten()
        i = torch.zeros(self.n, self.n, dtype=torch.long); last = (2 * g - 1) ** 2
        i[1:, 1:] = (y[:, None] - y[None] + g - 1) * (2 * g - 1) + (x[:, None] - x[None] + g - 1)
        i[0, :], i[:, 0], i[0, 0] = last, last + 1, last + 2
        self.register_buffer("relative_position_index", i, persistent=False)
    def forward(self): return self.relative_position_bias_table[self.relative_position_index.view(-1)].view(self.n, self.n, -1).permute(2, 0, 1)

class PatchEmbed(nn.Module):
    def __init__(self, patch, dim): super().__init__(); self.proj = nn.Conv2d(3, dim, patch, patch)
    def forward(self, x): return self.proj(x).flatten(2).transpose(1, 2)

class ConMIM(nn.Module):
    def __init__(self, image=224, patch=16, dim=384, depth=12, heads=6, hidden=4096, out=256, init=0.1, absolute=False):
        super().__init__()
        g = image // patch
        self.patch_embed = PatchEmbed(patch, dim)
        self.cls_token, self.mask_token = nn.Parameter(torch.zeros(1, 1, dim)), nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, g * g + 1, dim)) if absolute else None
        self.rel_pos_bias = None if absolute else RelativePositionBias(g, heads)
        self.blocks = nn.ModuleList(Block(dim, heads, init) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, 1e-6)
        L, B, R = (lambda a, b: nn.Linear(a, b, bias=False)), nn.BatchNorm1d, lambda: nn.ReLU(True)
        self.projectors = nn.Sequential(L(dim, hidden), B(hidden), R(), L(hidden, hidden), B(hidden), R(), L(hidden, out), B(out, affine=False))
        trunc = lambda t: nn.init.trunc_normal_(t, 0, .02, -.02, .02)
        for m in self.modules():
            if isinstance(m, (nn.Linear, nn.Conv2d)):
                trunc(m.weight)
                if m.bias is not None: nn.init.zeros_(m.bias)
        for p in (self.cls_token, self.mask_token, self.pos_embed):
            if p is not None: trunc(p)
        with torch.no_grad():
            for i, b in enumerate(self.blocks, 1): b.attn.proj.weight /= math.sqrt(2 * i); b.mlp.fc2.weight /= math.sqrt(2 * i)
    def tokens(self, x, mask):
        x = self.patch_embed(x); w = mask.unsqueeze(-1).type_as(x)
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x * (1 - w) + self.mask_token * w), 1)
        if self.pos_embed is not None: x = x + self.pos_embed
        bias = self.rel_pos_bias() if self.rel_pos_bias else None
        for b in self.blocks: x = b(x, bias)
        return self.norm(x)
    def forward(self, x, mask):
        t = self.tokens(x, mask); B, N, _ = t.shape
        return F.normalize(self.projectors(t.flatten(0, 1)).reshape(B, N, -1)[:, 1:], dim=-1)

class Trainer:
    def __init__(self, student, teacher, betas=(.9, .98), eps=1e-8, weight_decay=.05):
        self.student, self.teacher = student, teacher
        no = lambda n, p: p.ndim == 1 or n.endswith(".bias") or n in ("pos_embed", "cls_token")
        self.opt = torch.optim.AdamW([
            {"params": [p for n, p in student.named_parameters() if not no(n, p)], "weight_decay": weight_decay},
            {"params": [p for n, p in student.named_parameters() if no(n, p)], "weight_decay": 0.}], betas=betas, eps=eps)
    def step(self, x, x_full, mask, temperature, lr, momentum, clip=1.0, autocast=None):
        for g in self.opt.param_groups: g["lr"] = lr
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=autocast == "bf16"):
            with torch.no_grad(): keys = self.teacher(x_full, torch.zeros_like(mask))
            q = self.student(x, mask)
            logits = (q @ keys.transpose(1, 2) / temperature)[mask]
            loss = F.cross_entropy(logits, torch.arange(mask.shape[1], device=x.device).expand(len(x), -1)[mask])
        self.opt.zero_grad(); loss.backward()
        norm = nn.utils.clip_grad_norm_(self.student.parameters(), clip); self.opt.step()
        with torch.no_grad():
            for s, t in zip(self.student.parameters(), self.teacher.parameters()): t.mul_(momentum).add_((1 - momentum) * s)
        return loss.detach(), norm

def check(d):
    from safetensors.torch import load_file
    f = json.load(open(f"{d}/fixture.json")); ld = lambda n: load_file(f"{d}/{n}.safetensors")
    def build(n):
        m = ConMIM(f["image_size"], f["patch_size"], f["embed_dim"], f["depth"], f["num_heads"], f["projector"]["hidden"], f["projector"]["out"], f["layer_scale_init"], f["position"] == "absolute")
        r = m.load_state_dict({k: v for k, v in ld(n).items() if not k.startswith("lm_head")}); return m.train()
    t = Trainer(build("student.init"), build("teacher.init"), weight_decay=f["steps"][0]["weight_decay"])
    for i, s in enumerate(f["steps"]):
        b = ld(f"batch.step{i}")
        loss, norm = t.step(b["student_input"], b["teacher_input"], b["mask"].bool(), f["temperature"], s["lr"], s["momentum"])
        print(f"step {i} loss {loss.item():.6f} (fixture {s['loss']:.6f}) gradient norm {norm.item():.4f} ({s['grad_norm_before_clip']:.4f})")
    for n, m in (("student", t.student), ("teacher", t.teacher)):
        want, got = ld(n + ".final"), m.state_dict()
        print(n, "largest difference", max((want[k] - got[k]).abs().max().item() for k in got))

def bench(a):
    torch.manual_seed(0); d, l, h = MODELS[a.model]; dev = "cuda" if torch.cuda.is_available() and not a.cpu else "cpu"
    s = ConMIM(a.image, a.patch, d, l, h).to(dev); t = Trainer(s, copy.deepcopy(s)); K = (a.image // a.patch) ** 2; ts = []
    for _ in range(a.steps + 1):
        x, xf = (torch.randn(a.batch, 3, a.image, a.image, device=dev) for _ in range(2))
        mask = torch.rand(a.batch, K, device=dev).argsort(-1) < int(.75 * K)
        t0 = time.perf_counter(); loss = t.step(x, xf, mask, .1, 5e-4, .996, autocast=a.precision)[0].item(); ts.append(time.perf_counter() - t0)
    r = dict(engine="pytorch " + torch.__version__, device=dev, model=a.model, image=a.image, batch=a.batch, precision=a.precision,
             images_per_second=a.batch / sorted(ts[1:])[len(ts[1:]) // 2], best_images_per_second=a.batch / min(ts[1:]),
             peak_memory_gb=torch.cuda.max_memory_allocated() / 1e9 if dev == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
    print(json.dumps(r) if a.json else "\n".join(f"{k}: {v}" for k, v in r.items()))

if __name__ == "__main__":
    p = argparse.ArgumentParser(); p.add_argument("what", choices=["check", "bench"]); p.add_argument("dir", nargs="?")
    p.add_argument("--model", default="vit-small"); p.add_argument("--image", type=int, default=224); p.add_argument("--patch", type=int, default=16)
    p.add_argument("--batch", type=int, default=8); p.add_argument("--steps", type=int, default=4); p.add_argument("--precision", default="fp32")
    p.add_argument("--cpu", action="store_true"); p.add_argument("--json", action="store_true"); a = p.parse_args()
    check(a.dir) if a.what == "check" else bench(a)
