"""The PyTorch step of ConMIM that is timed (step_torch.py), held against the published program's results.

  python conmim_torch.py FIXTURE_DIR          replay a fixture (test/fixtures) and print the largest differences

Needs torch and safetensors.
"""
import json, sys
from safetensors.torch import load_file
from step_torch import ConMIM, Trainer

def check(d):
    f = json.load(open(f"{d}/fixture.json")); ld = lambda n: load_file(f"{d}/{n}.safetensors")
    model = dict({k: f[k] for k in ("image_size", "patch_size", "embed_dim", "depth", "num_heads", "layer_scale_init")}, mlp_ratio=4, layer_norm_eps=1e-6, position="absolute" if f["position"] == "absolute" else "shared-relative-bias")
    m = ConMIM(dict(model=model, projector=dict(layers=3, **{k: f["projector"][k] for k in ("hidden", "out")}), contrast=dict(temperature=f["temperature"])))
    for n, net in (("student", m.student), ("teacher", m.teacher)): net.load_state_dict({k: v for k, v in ld(n + ".init").items() if not k.startswith("lm_head")}); net.train()
    t = Trainer(m, dict(clip_grad=1.0, clip_each=False, weight_decay=f["steps"][0]["weight_decay"], betas=(.9, .98), eps=1e-8))
    for i, s in enumerate(f["steps"]):
        b = ld(f"batch.step{i}")
        loss, norm = t.step(dict(student=b["student_input"], teacher=b["teacher_input"]), b["mask"].bool(), s["lr"], s["momentum"])
        print(f"step {i} loss {loss.item():.6f} (fixture {s['loss']:.6f}) gradient norm {norm.item():.4f} ({s['grad_norm_before_clip']:.4f})")
    for n, net in (("student", m.student), ("teacher", m.teacher)):
        want, got = ld(n + ".final"), net.state_dict()
        print(n, "largest difference", max((want[k] - got[k]).abs().max().item() for k in got))

if __name__ == "__main__": check(sys.argv[1])
