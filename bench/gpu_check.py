#!/usr/bin/env python3
"""Is the CUDA backend right on this GPU, and how fast? One command, under nine minutes; needs no network.

    python3 bench/gpu_check.py --bin FOLDER --out results/gpu       # FOLDER: the programs that scripts/gpu_bundle.sh packs

Parts, none of which ends the others: `dsnet doctor`; every operation against the CPU backend in each type; every gradient
against differences; plans and steps recorded and replayed; the allocator; NCCL with one rank; small trainings on CPU and GPU
from one seed; a profile; inference and training times of dsnet; the same of PyTorch, where it is installed
(bench/gpu_peers.py). Each part has its share of the time, and what it leaves over goes to the next ones. OUT.json and OUT.md
are written anew after each.
`--quick` takes tiny sizes: for a rehearsal on the emulated driver, whose times mean nothing.
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
# Seconds of each part, of 520 in all.
BUDGET = {"doctor": 10, "operations": 95, "gradients": 40, "recording": 15, "allocator": 10, "NCCL": 10, "curves": 60,
          "profile": 10, "inference": 60, "training": 40, "PyTorch": 170}
ON_GPU = {"DSNET_TEST_GPU": "1", "RUST_BACKTRACE": "0"}


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", type=Path, default=HERE.parent / "bin", help="folder of dsnet, ops-check and gradients-check")
    p.add_argument("--out", type=Path, default=Path("gpu"), help="write OUT.json and OUT.md")
    p.add_argument("--quick", action="store_true", help="tiny sizes")
    p.add_argument("--seconds", type=float, default=520, help="for everything; what does not fit is left out")
    return p.parse_args()


class Check:
    def __init__(self, args):
        self.args, self.begin, self.until = args, time.monotonic(), 0.0
        self.steps, self.rows, self.doctor = [], [], None

    def part(self, name, run):
        """Runs a part within its share of the time, and what those before it left over; writes what is known by then."""
        self.until += BUDGET[name] * self.args.seconds / sum(BUDGET.values())
        try:
            run(self)
        except Exception as e:  # the parts after it still have something to tell
            self.note(name, False, error=f"{type(e).__name__}: {e}")
        report(self)

    def note(self, name, ok, **more):
        self.steps.append({"step": name, "ok": ok, **more})
        said = {True: "ok", False: "FAILED", None: "left out"}[ok]
        print(f"{said:9}{more.get('seconds', 0):7.1f} s  {name}", flush=True)

    def run(self, name, command, env=None, parse=None):
        """Runs a command; notes how it ended and what `parse` makes of its output."""
        command = [str(c) for c in command]
        more = {"command": " ".join(command)}
        limit = self.until - (time.monotonic() - self.begin)
        if limit < 3:
            self.note(name, None, error="no time left", **more)
            return None
        start, ok, result = time.monotonic(), False, None
        try:
            done = subprocess.run(command, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=limit)
            ok = done.returncode == 0
            if not ok:
                more["error"] = (done.stdout + done.stderr)[-4000:]
            if parse and (ok or parse is tests):
                result = parse(done.stdout)
        except subprocess.TimeoutExpired:
            more["error"] = f"not done after {limit:.0f} s"
        except (OSError, ValueError, KeyError, IndexError) as e:
            ok, more["error"] = False, f"{type(e).__name__}: {e}"
        self.note(name, ok, seconds=round(time.monotonic() - start, 2), result=result, **more)
        return result

    def program(self, name):
        return self.args.bin / name


def tests(text):
    if "running 0 tests" in text:
        raise ValueError("no test has one of these names")
    found = re.findall(r"^test (\S+) \.\.\. (\w+)", text, re.M)
    return {"passed": sum(r == "ok" for _, r in found), "failed": [n for n, r in found if r != "ok"]}


def test_part(name, program, wanted, quick):
    """A part that is tests of ours by name, one at a time: what fails is not hidden by what else runs."""
    def run(check):
        names = quick if check.args.quick else wanted
        many = {} if check.args.quick else {"DSNET_TEST_MANY": "1"}
        check.run(name, [check.program(program), "--test-threads", "1", *names], env={**ON_GPU, **many}, parse=tests)
    return name, run


def doctor(check):
    check.doctor = check.run("doctor", [check.program("dsnet"), "doctor"], parse=str)


def losses(run):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["kind"] == "step"]


def curves(check):
    """Trainings from one seed: f32 on the CPU, and every precision on the GPU beside it."""
    scale = (["--train-images", "8", "--scene-size", "32x64", "--model", "dsnet-tiny"] if check.args.quick
             else ["--train-images", "48", "--scene-size", "128x256"])
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for device, precision, _ in [("cpu", "f32", 0), *(("cuda", p, b) for p, b in PRECISIONS)]:
            out = Path(folder) / f"{device}-{precision}"
            check.run(f"training on {device} in {precision}", [
                check.program("dsnet"), "train", "--data", "synthetic", "--val-images", "2", "--epochs", "2", "--batch", "4", "--samples",
                "0", "--seed", "7", "--device", device, "--precision", precision, "--out", out, *scale])
            if (out / "log.jsonl").exists():
                found[out.name] = losses(out)
    cpu = found.get("cpu-f32", [])
    for precision, bound in PRECISIONS:
        gpu = found.get(f"cuda-{precision}", [])
        if not cpu or not gpu:
            continue
        whole = len(cpu) == len(gpu) and all(v is not None for v in gpu)
        apart = max(abs(a - b) / abs(a) for a, b in zip(cpu, gpu)) if whole else None
        check.note(f"curve in {precision}", whole and apart < bound,
                   result={"largest relative difference": apart, "bound": bound, "cpu": cpu, "gpu": gpu})


# Of a short training on the GPU, and how far from the CPU's its losses may be.
PRECISIONS = [("f32", 0.05), ("tf32", 0.05), ("f16", 0.1), ("bf16", 0.1)]


def first(text):
    return json.loads(text)[0]


def profile(check):
    """Where the time of a plan and of a training step goes: the costliest steps are in the JSON."""
    size, batch = (["64x48"], "1") if check.args.quick else (["640x360"], "1")
    common = [check.program("dsnet"), "bench", "--layers", "--device", "cuda", "--json"]
    kept = lambda rows: sorted(rows, key=lambda r: -r["ms"])[:40]
    check.run("profile of inference, f16", [*common, "--labels", "--precision", "f16", "--size", *size, "--batch", batch, "--iters", "3"],
              parse=lambda text: kept(first(text)["layers"]))
    size, batch = ("48x32", "1") if check.args.quick else ("800x800", "16")
    check.run("profile of a training step, bf16", [*common, "--train", "--precision", "bf16", "--size", size, "--batch", batch, "--classes",
                                                   "19", "--iters", "2"], parse=lambda text: kept(first(text)["operations"]))


def times(check, what, size, batch, precision, more):
    found = check.run(f"{what} {size}, batch {batch}, {precision}", [
        check.program("dsnet"), "bench", *more, "--size", size, "--batch", batch, "--device", "cuda", "--precision", precision,
        "--json"], parse=first)
    if found:
        check.rows.append(dict(what=what, size=size, batch=batch, who=f"dsnet {precision}", ms=found["median_ms"],
                               least_ms=found["min_ms"], memory=found["peak_tensor_bytes"]))


def inference(check):
    quick = check.args.quick
    for precision in ["f16", "f32"] if quick else ["f16", "bf16", "tf32", "f32"]:
        for size in ["64x48"] if quick else ["640x360", "1280x720", "1920x1080"]:
            for batch in [1] if quick else [1, 16]:
                times(check, "inference", size, batch, precision, ["--labels", "--iters", "2" if quick else "60"])


def training(check):
    size, batch, iters = ("48x32", 1, "2") if check.args.quick else ("800x800", 16, "10")
    for precision in ["bf16", "f32"] if check.args.quick else ["bf16", "f16", "tf32", "f32"]:
        times(check, "training step", size, batch, precision, ["--train", "--classes", "19", "--iters", iters])


def peers(check):
    """PyTorch, each measurement in a process of its own; what a bar is about comes first."""
    probe = "import torch; assert torch.cuda.is_available(); print(torch.__version__)"
    if subprocess.run([sys.executable, "-c", probe], capture_output=True).returncode != 0:
        check.note("PyTorch", None, error="there is none here that sees a GPU")
        return
    step, small = ("training step", "800x800", 16), ("inference", "640x360", 1)
    wanted = [(*step, "eager"), (*small, "eager"), (*small, "channels-last-f16"), (*small, "compiled-f16"), (*step, "compiled")]
    for size, batch in [("640x360", 16), ("1280x720", 1), ("1920x1080", 1), ("1280x720", 16), ("1920x1080", 16)]:
        wanted += [("inference", size, batch, name) for name in ["eager", "channels-last-f16", "compiled-f16"]]
    for what, size, batch, name in wanted:
        found = check.run(f"PyTorch {name}, {what} {size}, batch {batch}", [
            sys.executable, HERE / "gpu_peers.py", what, size, batch, name], parse=json.loads)
        if found:
            check.rows.append(dict(what=what, size=size, batch=batch, who=f"PyTorch {found['version']} {found['name']}", peer=name,
                                   ms=found["median_ms"], least_ms=found["min_ms"], memory=found["memory"]))


# What is to be reached: what, size, batch, our precision, PyTorch's row, and how many times faster at least.
BARS = [("inference", "640x360", 1, "f16", "eager", 4.0), ("inference", "640x360", 1, "f16", "compiled-f16", 1.2),
        ("inference", "640x360", 16, "f16", "compiled-f16", 1.2), ("training step", "800x800", 16, "bf16", "eager", 1.3),
        ("training step", "800x800", 16, "bf16", "compiled", 1.0)]


def bars(rows):
    """Of each bar whose two rows were measured: how many times faster, and the share of the memory."""
    for what, size, batch, precision, peer, least in BARS:
        same = [r for r in rows if (r["what"], r["size"], r["batch"]) == (what, size, batch)]
        ours = next((r for r in same if r["who"] == f"dsnet {precision}"), None)
        theirs = next((r for r in same if r.get("peer") == peer), None)
        if ours and theirs:
            yield dict(bar=f"{what} {size}, batch {batch}: {precision} against PyTorch {peer}", least=least,
                       found=theirs["ms"] / ours["ms"], memory=ours["memory"] / theirs["memory"])


def gpu():
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, timeout=20).stdout.strip() or "none seen by nvidia-smi"
    except (OSError, subprocess.TimeoutExpired):
        return "no nvidia-smi here"


def markdown(check, emulated, found):
    lines = [f"{datetime.date.today()}, {'EMULATED driver, no GPU: times mean nothing' if emulated else gpu()}, {platform.system()}", "",
             "| step | result | seconds |", "| --- | --- | --- |"]
    for s in check.steps:
        why = s.get("error", "").strip().split("\n")[-1][:160]
        result = {True: "ok", False: f"FAILED: {why}", None: f"left out: {why}"}[s["ok"]]
        if isinstance(s.get("result"), dict):
            told = s["result"]
            if "passed" in told:
                result += f", {told['passed']} passed, {len(told['failed'])} failed {', '.join(told['failed'][:5])}"
            elif told.get("largest relative difference") is not None:
                result += f", losses differ by {told['largest relative difference']:.2e} at most"
        lines.append(f"| {s['step']} | {result.strip()} | {s.get('seconds', '')} |")
    if found:
        lines += ["", "| bar | at least | found | our share of its memory |", "| --- | --- | --- | --- |"]
        lines += [f"| {b['bar']} | {b['least']}× | {b['found']:.2f}× | {b['memory']:.2f} |" for b in found]
    lines += ["", "Medians of one run, after warm-up; memory is the most that tensors held.", "",
              "| what | size | batch | who | ms | fastest ms | images/s | MiB |", "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for r in sorted(check.rows, key=lambda r: (r["what"], int(r["size"].split("x")[0]), r["batch"], r["ms"])):
        lines.append(f"| {r['what']} | {r['size']} | {r['batch']} | {r['who']} | {r['ms']:.3f} | {r['least_ms']:.3f} | "
                     f"{1e3 * r['batch'] / r['ms']:.0f} | {r['memory'] / 2**20:.0f} |")
    return "\n".join(lines) + "\n"


def report(check):
    emulated, found = "Emulated GPU" in (check.doctor or ""), list(bars(check.rows))
    whole = dict(date=str(datetime.date.today()), gpu=gpu(), emulated=emulated, doctor=check.doctor, steps=check.steps, bars=found,
                 times=check.rows)
    check.args.out.parent.mkdir(parents=True, exist_ok=True)
    for suffix, text in [(".json", json.dumps(whole, indent=1)), (".md", markdown(check, emulated, found))]:
        new = check.args.out.with_suffix(suffix + ".new")
        new.write_text(text)
        new.rename(check.args.out.with_suffix(suffix))


PARTS = [
    ("doctor", doctor),
    test_part("operations", "ops-check", ["ops::", "libraries::"], ["ops::cast", "ops::conv2d", "ops::batch_norm"]),
    test_part("gradients", "gradients-check", [], ["mixed", "list::conv2d"]),
    test_part("recording", "ops-check", ["plan::", "recording::", "staging::"], ["plan::", "recording::", "staging::"]),
    test_part("allocator", "ops-check", ["memory::"], ["memory::"]),
    test_part("NCCL", "ops-check", ["nccl::a_group_of_one"], ["nccl::a_group_of_one"]),
    ("curves", curves),
    ("profile", profile),
    ("inference", inference),
    ("training", training),
    ("PyTorch", peers),
]


def main():
    check = Check(parse())
    for name, run in PARTS:
        check.part(name, run)
    for suffix in [".json", ".md"]:
        print(check.args.out.with_suffix(suffix))
    return 0 if all(s["ok"] is not False for s in check.steps) else 1


if __name__ == "__main__":
    sys.exit(main())
