"""The encoder of all methods in PyTorch: names and arithmetic of the published codes (BEiT's, and timm's, which MAE, MoCo v3, DINO and iBOT share)."""
import math
import torch, torch.nn as nn, torch.nn.functional as F

class Attention(nn.Module):
    """apart: queries and values have biases of their own and keys none (BEiT's); else all three have one (timm's)."""
    def __init__(self, dim, heads, apart):
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim, bias=not apart)
        if apart: self.q_bias, self.v_bias = nn.Parameter(torch.zeros(dim)), nn.Parameter(torch.zeros(dim))
        self.proj = nn.Linear(dim, dim)
    def forward(self, x, bias):
        B, N, C = x.shape
        qkv = self.qkv(x) if self.qkv.bias is not None else F.linear(x, self.qkv.weight, torch.cat((self.q_bias, torch.zeros_like(self.v_bias), self.v_bias)))
        q, k, v = qkv.reshape(B, N, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        a = (q * self.scale) @ k.transpose(-2, -1)
        if bias is not None: a = a + bias
        return self.proj((a.softmax(-1) @ v).transpose(1, 2).reshape(B, N, C))

class Mlp(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__(); self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
    def forward(self, x): return self.fc2(F.gelu(self.fc1(x)))

class Block(nn.Module):
    def __init__(self, dim, heads, ratio=4, init=0.0, eps=1e-6, apart=False):
        super().__init__()
        self.norm1, self.attn, self.norm2, self.mlp = nn.LayerNorm(dim, eps), Attention(dim, heads, apart), nn.LayerNorm(dim, eps), Mlp(dim, int(dim * ratio))
        self.gamma_1, self.gamma_2 = (nn.Parameter(init * torch.ones(dim)), nn.Parameter(init * torch.ones(dim))) if init else (None, None)
    def forward(self, x, bias=None, drop=0.0):
        x = x + self.branch(self.attn(self.norm1(x), bias), self.gamma_1, drop)
        return x + self.branch(self.mlp(self.norm2(x)), self.gamma_2, drop)
    def branch(self, y, gamma, drop):
        if gamma is not None: y = gamma * y
        return y if drop == 0 else y * (torch.rand(len(y), 1, 1, device=y.device) >= drop) / (1 - drop)

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

def trunc(t): return nn.init.trunc_normal_(t, 0, .02, -.02, .02)

class ViT(nn.Module):
    """model: that section of a configuration of the workbench. Fixed positions are not trained; what they are does not matter here."""
    def __init__(self, model, apart=False, mask_token=False):
        super().__init__()
        dim, heads, position = model["embed_dim"], model["num_heads"], model["position"]
        self.grid = g = model["image_size"] // model["patch_size"]
        self.patch_embed, self.cls_token = PatchEmbed(model["patch_size"], dim), nn.Parameter(torch.zeros(1, 1, dim))
        if mask_token: self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, g * g + 1, dim), position == "absolute") if position in ("absolute", "fixed-sincos") else None
        self.rel_pos_bias = RelativePositionBias(g, heads) if position == "shared-relative-bias" else None
        self.blocks = nn.ModuleList(Block(dim, heads, model["mlp_ratio"], model["layer_scale_init"], model["layer_norm_eps"], apart) for _ in range(model["depth"]))
        self.norm = nn.LayerNorm(dim, model["layer_norm_eps"])
    def start(self):
        """As BEiT starts: deeper branches smaller."""
        for m in self.modules():
            if isinstance(m, (nn.Linear, nn.Conv2d)):
                trunc(m.weight)
                if m.bias is not None: nn.init.zeros_(m.bias)
        for p in (self.cls_token, getattr(self, "mask_token", None), self.pos_embed):
            if p is not None: trunc(p)
        with torch.no_grad():
            for i, b in enumerate(self.blocks, 1): b.attn.proj.weight /= math.sqrt(2 * i); b.mlp.fc2.weight /= math.sqrt(2 * i)
    def positions(self, g):
        """Of a crop of another size: interpolated, as DINO does."""
        if g == self.grid: return self.pos_embed
        p = self.pos_embed[:, 1:].mT.unflatten(2, (self.grid, self.grid))
        p = F.interpolate(p, scale_factor=((g + .1) / self.grid,) * 2, mode="bicubic").flatten(2).mT
        return torch.cat((self.pos_embed[:, :1], p), 1)
    def forward(self, x, mask=None, kept=None, drop=0.0):
        """mask [B, K]: patches that the mask token replaces; kept [B, n]: places of those that are encoded, else all. Returns [B, 1 + n, dim]."""
        g = x.shape[-1] // (self.patch_embed.proj.kernel_size[0]); x = self.patch_embed(x)
        if mask is not None: w = mask.unsqueeze(-1).type_as(x); x = x * (1 - w) + self.mask_token * w
        if self.pos_embed is None: x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), 1)
        elif kept is None: x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), 1) + self.positions(g)
        else:
            x = (x + self.pos_embed[:, 1:]).take_along_dim(kept[..., None], 1)
            x = torch.cat(((self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1), x), 1)
        bias = self.rel_pos_bias() if self.rel_pos_bias else None
        for i, b in enumerate(self.blocks): x = b(x, bias, drop * i / max(1, len(self.blocks) - 1))
        return self.norm(x)
