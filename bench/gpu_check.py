#!/usr/bin/env python3
"""Is the CUDA backend right on this GPU, and how fast? One command, under nine minutes; needs no network.

    python3 bench/gpu_check.py --bin FOLDER --out results/gpu       # FOLDER: dsnet and ops-check, as scripts/gpu_bundle.sh packs them

Steps, none of which ends the others: `dsnet doctor`; every operation against the CPU backend in each type; a small training
on CPU and GPU from one seed; inference and training times of dsnet; the same of PyTorch, where it is installed. Writes
OUT.json and OUT.md. `--quick` takes tiny sizes: for a rehearsal on the emulated driver, whose times mean nothing.
"""
import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = ["eager", "channels-last-f16", "compiled-f16"]


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", type=Path, default=HERE.parent / "bin", help="folder of dsnet and ops-check")
    p.add_argument("--out", type=Path, default=Path("gpu"), help="write OUT.json and OUT.md")
    p.add_argument("--quick", action="store_true", help="tiny sizes")
    p.add_argument("--seconds", type=float, default=520, help="for everything; steps that do not fit are left out")
    p.add_argument("--peer", nargs=4, metavar=("NAME", "SIZE", "BATCH", "STEP"), help=argparse.SUPPRESS)
    return p.parse_args()


class Check:
    def __init__(self, args):
        self.args, self.begin, self.steps = args, time.monotonic(), []

    def left(self):
        return self.args.seconds - (time.monotonic() - self.begin)

    def run(self, name, command, env=None, most=120, parse=None):
        """Runs a command; notes how it ended and what `parse` makes of its output."""
        step = {"step": name, "command": " ".join(map(str, command))}
        self.steps.append(step)
        limit = min(most, self.left())
        if limit < 5:
            step.update(ok=False, error="no time left")
            return None
        start = time.monotonic()
        try:
            done = subprocess.run(command, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=limit)
            step["seconds"] = round(time.monotonic() - start, 2)
            step["ok"] = done.returncode == 0
            if not step["ok"]:
                step["error"] = (done.stdout + done.stderr)[-4000:]
            result = parse(done.stdout) if parse and (step["ok"] or name == "operations") else None
        except subprocess.TimeoutExpired:
            step.update(ok=False, error=f"not done after {limit:.0f} s")
            result = None
        except (OSError, ValueError, KeyError, IndexError) as e:
            step.update(ok=False, error=f"{type(e).__name__}: {e}")
            result = None
        step["result"] = result
        print(f"{'ok' if step['ok'] else 'FAILED':7}{step.get('seconds', 0):7.1f} s  {name}", flush=True)
        return result


def operations(text):
    found = re.findall(r"^test (\S+) \.\.\. (\w+)", text, re.M)
    return {"passed": sum(r == "ok" for _, r in found), "failed": [n for n, r in found if r != "ok"]}


def losses(run):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["kind"] == "step"]


def training(check, dsnet, folder):
    scale = (["--train-images", "8", "--scene-size", "32x64", "--model", "dsnet-tiny"] if check.args.quick
             else ["--train-images", "64", "--scene-size", "128x256"])
    curves = {}
    for device in ["cpu", "cuda"]:
        out = folder / device
        check.run(f"training on {device}", [dsnet, "train", "--data", "synthetic", "--val-images", "2", "--epochs", "2", "--batch", "4",
                  "--samples", "0", "--seed", "7", "--device", device, "--out", out, *scale], most=100)
        if (out / "log.jsonl").exists():
            curves[device] = losses(out)
    if len(curves) == 2 and curves["cuda"]:
        apart = max(abs(a - b) / abs(a) for a, b in zip(curves["cpu"], curves["cuda"]))
        curves["largest relative difference"] = apart
        same = len(curves["cpu"]) == len(curves["cuda"]) and apart < 0.05
        check.steps.append({"step": "curves agree", "ok": same, "result": curves})
        print(f"{'ok' if same else 'FAILED':17}  curves agree (largest relative difference {apart:.2e})")


def bench(check, dsnet):
    rows = []
    sizes = ["64x48"] if check.args.quick else ["640x360", "1280x720", "1920x1080"]
    batches = [1] if check.args.quick else [1, 16]
    precisions = ["f32", "f16"] if check.args.quick else ["f32", "tf32", "f16", "bf16"]
    iters = "2" if check.args.quick else "60"
    for size in sizes:
        for batch in batches:
            for precision in precisions:
                found = check.run(f"inference {size}, batch {batch}, {precision}", [
                    dsnet, "bench", "--size", size, "--batch", str(batch), "--iters", iters, "--labels", "--device", "cuda",
                    "--precision", precision, "--json"], most=60, parse=lambda text: json.loads(text)[0])
                if found:
                    rows.append(dict(what="inference", size=size, batch=batch, who=f"dsnet {precision}", ms=found["median_ms"],
                                     least_ms=found["min_ms"], memory=found["peak_tensor_bytes"]))
    size, batch = ("48x32", 1) if check.args.quick else ("800x800", 16)
    for precision in ["f32"] if check.args.quick else ["f32", "tf32"]:
        found = check.run(f"training step {size}, batch {batch}, {precision}", [
            dsnet, "bench", "--train", "--size", size, "--batch", str(batch), "--classes", "19", "--iters", "2" if check.args.quick else "10",
            "--device", "cuda", "--precision", precision, "--json"], most=90, parse=lambda text: json.loads(text)[0])
        if found:
            rows.append(dict(what="training step", size=size, batch=batch, who=f"dsnet {precision}", ms=found["median_ms"],
                             least_ms=found["min_ms"], memory=found["peak_tensor_bytes"]))
    return rows


# ---- PyTorch, each measurement in a process of its own

def peer(name, size, batch, step):
    import torch

    sys.path.insert(0, str(HERE))
    from compare_cpu import network, timed
    width, height = map(int, size.split("x"))
    net = network(19).cuda()
    x = torch.randn(int(batch), 3, height, width, device="cuda")
    if step == "training":
        return {**train(torch, net, x, timed), "version": torch.__version__}
    net.eval()
    if name != "eager":
        net, x = net.half().to(memory_format=torch.channels_last), x.half().to(memory_format=torch.channels_last)
    if name.startswith("compiled"):
        net = torch.compile(net, mode="max-autotune")

    def run():
        with torch.inference_mode():
            net(x)
        torch.cuda.synchronize()

    torch.cuda.reset_peak_memory_stats()
    return {**timed(run, 2.0), "memory": torch.cuda.max_memory_allocated(), "version": torch.__version__}


def train(torch, net, x, timed):
    net = net.train().to(memory_format=torch.channels_last)
    x = x.to(memory_format=torch.channels_last)
    labels = torch.randint(0, 19, (x.shape[0], *x.shape[2:]), device="cuda")
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, weight_decay=2e-4, fused=True)

    def run():
        with torch.autocast("cuda", torch.bfloat16):
            out = net(x)
            out = out[0] if isinstance(out, tuple) else out
            loss = torch.nn.functional.cross_entropy(out.float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        torch.cuda.synchronize()

    torch.cuda.reset_peak_memory_stats()
    return {**timed(run, 3.0), "memory": torch.cuda.max_memory_allocated()}


def peers(check):
    rows = []
    probe = "import torch; assert torch.cuda.is_available(); print(torch.__version__)"
    if subprocess.run([sys.executable, "-c", probe], capture_output=True).returncode != 0 or check.args.quick:
        return rows
    wanted = [(p, s, b, "inference") for s in ["640x360", "1280x720", "1920x1080"] for b in [1, 16] for p in PEERS]
    for name, size, batch, step in [("eager", "800x800", 16, "training"), *wanted]:
        found = check.run(f"PyTorch {name}, {step} {size}, batch {batch}", [
            sys.executable, __file__, "--peer", name, size, str(batch), step], most=100, parse=json.loads)
        if found:
            what = "training step" if step == "training" else step
            who = f"PyTorch {found['version']} " + ("channels-last, bf16 AMP" if step == "training" else name)
            rows.append(dict(what=what, size=size, batch=batch, who=who, ms=found["median_ms"], least_ms=found["min_ms"],
                             memory=found["memory"]))
    return rows


def gpu():
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, timeout=20).stdout.strip() or "none seen by nvidia-smi"
    except OSError:
        return "no nvidia-smi here"


def report(check, rows, doctor):
    emulated = "Emulated GPU" in (doctor or "")
    lines = [f"{datetime.date.today()}, {'EMULATED driver, no GPU: times mean nothing' if emulated else gpu()}, {platform.system()}", "",
             "| step | result | seconds |", "| --- | --- | --- |"]
    for s in check.steps:
        result = "ok" if s["ok"] else "FAILED: " + s.get("error", "").strip().split("\n")[-1][:160]
        if s["step"] == "operations" and s.get("result"):
            result += f", {s['result']['passed']} passed, {len(s['result']['failed'])} failed"
        lines.append(f"| {s['step']} | {result} | {s.get('seconds', '')} |")
    lines += ["", "Medians of one run, after warm-up; memory is the most that tensors held.", "",
              "| what | size | batch | who | ms | fastest ms | images/s | MiB |", "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for r in sorted(rows, key=lambda r: (r["what"], int(r["size"].split("x")[0]), r["batch"], r["ms"])):
        lines.append(f"| {r['what']} | {r['size']} | {r['batch']} | {r['who']} | {r['ms']:.3f} | {r['least_ms']:.3f} | "
                     f"{1e3 * r['batch'] / r['ms']:.0f} | {r['memory'] / 2**20:.0f} |")
    check.args.out.parent.mkdir(parents=True, exist_ok=True)
    whole = dict(date=str(datetime.date.today()), gpu=gpu(), emulated=emulated, doctor=doctor, steps=check.steps, times=rows)
    for suffix, text in [(".json", json.dumps(whole, indent=1)), (".md", "\n".join(lines) + "\n")]:
        new = check.args.out.with_suffix(suffix + ".new")
        new.write_text(text)
        new.rename(check.args.out.with_suffix(suffix))
        print(check.args.out.with_suffix(suffix))


def main():
    args = parse()
    if args.peer:
        print(json.dumps(peer(*args.peer)))
        return 0
    check = Check(args)
    dsnet, ops = args.bin / "dsnet", args.bin / "ops-check"
    doctor = check.run("doctor", [dsnet, "doctor"], parse=str)
    # One operation at a time: what fails is not hidden by what else runs.
    names = ["ops::cast", "ops::conv2d", "ops::batch_norm", "plan"] if args.quick else ["ops", "plan"]
    check.run("operations", [ops, "--test-threads", "1", *names], env={"DSNET_TEST_GPU": "1", "RUST_BACKTRACE": "0"}, most=180,
              parse=operations)
    with tempfile.TemporaryDirectory() as folder:
        training(check, dsnet, Path(folder))
    rows = bench(check, dsnet) + peers(check)
    report(check, rows, doctor)
    return 0 if all(s["ok"] for s in check.steps) else 1


if __name__ == "__main__":
    sys.exit(main())
