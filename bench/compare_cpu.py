#!/usr/bin/env python3
"""DSNet on the CPU, ours and its peers run alternately: inference and training steps, as a table and a bar chart.

    pip install torch onnx onnxruntime openvino        # the peers that are there are measured
    cargo build --release -p dsnet
    python bench/compare_cpu.py --dsnet target/release/dsnet --sizes 640x360 --threads 2 --rounds 3 --out results/cpu

Each round runs every contestant once, in a process of its own; the figure of a contestant is the median of its rounds'
medians, with the fastest single run beside it. What a peer infers is first compared with plain eager PyTorch's. BatchNorm is
folded by hand before compiling: PyTorch's own folding is wrong for a transposed convolution with as many inputs as outputs.
"""
import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONFIG = dict(ch=(16, 64, 128), n64=4, dils=(1, 2, 5, 9, 1, 2, 5, 9, 2, 5, 9, 17, 2, 5, 9, 17), k=32)
INFERENCE = ["eager", "channels-last", "compiled", "onnxruntime", "openvino"]
HALVES = ["compiled-bf16", "openvino-bf16"]
TRAINING = ["train-eager", "train-compiled"]
TRAINING_HALVES = ["train-eager-bf16", "train-compiled-bf16"]


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dsnet", default="target/release/dsnet", help="our program")
    p.add_argument("--sizes", nargs="+", default=["640x360"], help="width x height")
    p.add_argument("--threads", nargs="+", type=int, default=[2])
    p.add_argument("--peers", nargs="+", default=INFERENCE, choices=INFERENCE + HALVES + TRAINING + TRAINING_HALVES)
    p.add_argument("--bf16", action="store_true", help="also dsnet --precision bf16 and the peers that compute in bf16")
    p.add_argument("--train", action="store_true", help="training steps (batch 4 of 480x360, 11 classes) instead of inference")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=float, default=2.0, help="of measuring for each contestant and round")
    p.add_argument("--out", help="write OUT.md, OUT.json and OUT.svg")
    p.add_argument("--worker", nargs=4, metavar=("PEER", "SIZE", "THREADS", "DIR"), help=argparse.SUPPRESS)
    return p.parse_args()


def timed(run, seconds):
    for _ in range(3):
        run()
    times, begin = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return {"min_ms": min(times), "median_ms": statistics.median(times)}


# ---- peers, each in a process of its own ----

def network(classes):
    sys.path.insert(0, str(HERE.parent / "tests" / "fixtures"))
    import torch
    from generators.network import DSNet

    torch.manual_seed(0)
    net = DSNet(classes, **CONFIG)
    for m in net.modules():  # statistics as after training, so that folding has something to fold
        if isinstance(m, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(m.weight, 0.8, 1.2)
            torch.nn.init.uniform_(m.bias, -0.1, 0.1)
            m.running_var.uniform_(0.5, 2)
            m.running_mean.uniform_(-0.1, 0.1)
    return net


def folded(net):
    import torch
    from generators.network import ConvBN

    for m in net.modules():
        if isinstance(m, ConvBN):
            transposed = isinstance(m[0], torch.nn.ConvTranspose2d)
            m[0] = torch.nn.utils.fusion.fuse_conv_bn_eval(m[0].eval(), m[1].eval(), transpose=transposed)
            m[1] = torch.nn.Identity()
    return net


def exportable():
    """Pooling and unpooling by masks of the four places of a window: the exporter has no unpooling."""
    import torch
    import torch.nn.functional as F
    from generators import network

    def pool(x, size, return_indices=False):
        places = [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        best = torch.maximum(torch.maximum(places[0], places[1]), torch.maximum(places[2], places[3]))
        free, masks = torch.ones_like(best), []
        for place in places:
            mask = (place == best).to(x.dtype) * free
            free = free - mask
            masks.append(mask)
        return (best, torch.stack(masks, 2)) if return_indices else best

    def unpool(y, masks, size):
        return F.pixel_shuffle((y.unsqueeze(2) * masks).flatten(1, 2), 2)

    network.F = type("Exportable", (), {**vars(F), "max_pool2d": staticmethod(pool), "max_unpool2d": staticmethod(unpool),
                                        "channel_shuffle": staticmethod(lambda x, g: x.unflatten(1, (g, -1)).transpose(1, 2).flatten(1, 2))})


def worker(peer, size, threads, folder, seconds):
    width, height = map(int, size.split("x"))
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if peer.startswith("train"):
        return train(peer, height, width, threads, seconds)
    import numpy as np
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    x = torch.randn(1, 3, height, width)
    net = network(19).eval()
    with torch.inference_mode():
        want = net(x)
    half = peer.endswith("-bf16")
    peer = peer.removesuffix("-bf16")
    if peer in ("onnxruntime", "openvino"):
        path = Path(folder) / f"{size}.onnx"
        if not path.exists():
            exportable()
            with torch.inference_mode():
                torch.onnx.export(folded(network(19).eval()), (x,), str(path), input_names=["x"], output_names=["y"],
                                  opset_version=17, dynamo=False)
        data = x.numpy()
        if peer == "onnxruntime":
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            run, version = lambda: session.run(None, {"x": data})[0], onnxruntime.__version__
        else:
            import openvino

            core = openvino.Core()
            model = core.compile_model(core.read_model(path), "CPU", {
                "INFERENCE_PRECISION_HINT": "bf16" if half else "f32", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False})
            request = model.create_infer_request()
            request.set_input_tensor(openvino.Tensor(data))

            def run():
                request.infer()
                return request.get_output_tensor(0).data
            version = openvino.__version__.split("-")[0]
        found = torch.from_numpy(np.array(run()))
    else:
        version = torch.__version__
        if peer != "eager":
            x = x.to(memory_format=torch.channels_last)
            net = folded(net).to(memory_format=torch.channels_last)
        if peer == "compiled":
            torch._inductor.config.freezing = True
            net.compile()

        def run():
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
                return net(x)
        found = run().float()
    agree = float((found.argmax(1) == want.argmax(1)).float().mean())
    # Random weights leave classes nearly equal: rounding to bf16 changes the label of some pixels.
    if agree < (0.9 if half else 0.99):
        sys.exit(f"{peer} tells other labels than eager PyTorch: {agree:.4f} agree")
    return {**timed(run, seconds), "version": version, "agree": agree}


def train(peer, height, width, threads, seconds):
    import torch

    net = network(11).train()
    from generators.network import owfl, owfl_weights, se_loss

    torch.set_num_threads(threads)
    frequencies = torch.tensor([0.6 ** i for i in range(11)])
    alpha, gamma = owfl_weights(frequencies / frequencies.sum())
    x, t = torch.randn(4, 3, height, width), torch.randint(0, 11, (4, height, width))
    present = torch.ones(4, 11)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, weight_decay=2e-4, fused=True)
    half = peer.endswith("-bf16")
    if peer.removesuffix("-bf16") == "train-compiled":
        net.compile()

    def run():
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            y, z = net(x, True)
        y, z = y.float(), z.float()
        loss = owfl(y, t, alpha, gamma) + torch.nn.functional.binary_cross_entropy_with_logits(z, present)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {**timed(run, seconds), "version": torch.__version__}


# ---- the comparison ----

def ours(args, name, size, threads, iters):
    what = ["--precision", "bf16"] if name.endswith("bf16") else []
    what += ["--train", "--iters", str(iters)] if args.train else ["--iters", str(iters)]
    text = subprocess.run([args.dsnet, "bench", "--size", size, "--threads", str(threads), "--json", *what],
                          check=True, capture_output=True, text=True).stdout
    result = json.loads(text)[0]
    return {k: result[k] for k in ("min_ms", "median_ms")}


def theirs(args, peer, size, threads, folder):
    command = [sys.executable, __file__, "--worker", peer, size, str(threads), folder, "--seconds", str(args.seconds)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{peer}: {(done.stderr.strip() or 'failed').splitlines()[-1]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def processor():
    with open("/proc/cpuinfo") as f:
        info = f.read()
    name = next(line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name"))
    features = [word for word in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {word}" in info]
    return f"{name} ({', '.join(features)})"


def chart(rows):
    """Horizontal bars, one group for each size and thread count, as SVG."""
    longest = max(r["median_ms"] for r in rows)
    lines, y, group = [], 20, None
    for r in rows:
        title = f"{r['size']}, {r['threads']} thread{'s' if r['threads'] > 1 else ''}"
        if title != group:
            group, y = title, y + 14
            lines.append(f'<text x="10" y="{y}" font-weight="600">{title}</text>')
            y += 10
        width = 420 * r["median_ms"] / longest
        colour = "#0b6e99" if r["name"].startswith("dsnet") else "#9aa5b1"
        lines.append(f'<text x="130" y="{y + 13}" text-anchor="end">{r["name"]}</text>'
                     f'<rect x="138" y="{y}" width="{width:.1f}" height="17" rx="2" fill="{colour}"/>'
                     f'<text x="{144 + width:.1f}" y="{y + 13}">{r["median_ms"]:.1f} ms</text>')
        y += 23
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="660" height="{y + 12}" font-family="Helvetica, Arial, sans-serif" '
            f'font-size="13" fill="#24292f"><rect width="100%" height="100%" fill="#fff"/>{"".join(lines)}</svg>\n')


def main():
    args = parse()
    if args.worker:
        peer, size, threads, folder = args.worker
        print(json.dumps(worker(peer, size, int(threads), folder, args.seconds)))
        return
    peers = TRAINING if args.train and args.peers == INFERENCE else args.peers
    if args.bf16:
        halves = TRAINING_HALVES if args.train else HALVES
        peers = peers + [peer for peer in halves if peer not in peers]
    wrong = [peer for peer in peers if peer.startswith("train") != args.train]
    if wrong:
        sys.exit(f"{', '.join(wrong)}: {'no peers in training' if args.train else 'peers in training alone, with --train'}")
    sizes = ["480x360"] if args.train and args.sizes == ["640x360"] else args.sizes
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            for threads in args.threads:
                iters = max(5, int(args.seconds * 1e3 / ours(args, "dsnet", size, threads, 3)["median_ms"]))
                own = ["dsnet", "dsnet-bf16"] if args.bf16 else ["dsnet"]
                rounds = {name: [] for name in [*own, *peers]}
                for _ in range(args.rounds):
                    for name in rounds:
                        result = ours(args, name, size, threads, iters) if name in own else theirs(args, name, size, threads, folder)
                        if result:
                            rounds[name].append(result)
                for name, results in rounds.items():
                    if len(results) < args.rounds:
                        print(f"{name} at {size}: {len(results)} of {args.rounds} rounds came to an end; left out", file=sys.stderr)
                    else:
                        rows.append({"size": size, "threads": threads, "name": name,
                                     "median_ms": statistics.median(r["median_ms"] for r in results),
                                     "min_ms": min(r["min_ms"] for r in results), "version": results[0].get("version", ""),
                                     "agree": results[0].get("agree")})
    head = (f"{datetime.date.today()}, {processor()}, {platform.system()}; "
            f"{args.rounds} rounds, contestants in turn; ms, median of the rounds' medians (fastest run)\n\n"
            "| what | contestant | version | ms | dsnet is faster by |\n| --- | --- | --- | --- | --- |\n")
    body = ""
    for r in rows:
        # Each in its own precision.
        own = "dsnet-bf16" if r["name"].endswith("bf16") else "dsnet"
        base = next((b["median_ms"] for b in rows if (b["size"], b["threads"], b["name"]) == (r["size"], r["threads"], own)), None)
        faster = f"{r['median_ms'] / base:.2f}" if base else "?"
        what = f"{'training step, 4 × ' if args.train else ''}{r['size']}, {r['threads']} thread{'s' if r['threads'] > 1 else ''}"
        body += f"| {what} | {r['name']} | {r['version']} | {r['median_ms']:.1f} ({r['min_ms']:.1f}) | {faster} |\n"
    print(head + body)
    if args.out:
        out = Path(args.out)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.with_suffix(".md").write_text(head + body)
        out.with_suffix(".json").write_text(json.dumps({"processor": processor(), "date": str(datetime.date.today()), "rows": rows}, indent=1))
        out.with_suffix(".svg").write_text(chart(rows))


if __name__ == "__main__":
    main()
