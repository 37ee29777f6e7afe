#!/usr/bin/env python3
"""One measurement of PyTorch on a GPU, for bench/gpu_check.py: prints JSON with times, memory and a name.

    python3 bench/gpu_peers.py inference 640x360 1 compiled-f16        # or eager, channels-last-f16
    python3 bench/gpu_peers.py "training step" 800x800 16 compiled     # or eager: channels-last, bf16 autocast, OWFL + SEL, Adam
"""
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "fixtures")]
DEVICE = "cuda"


def aggregate(x, d, s):
    """The encoding layer by matrix products: the residuals of its definition would be the largest tensor of all. In f32, as
    its softmax wants."""
    import torch

    with torch.autocast(DEVICE, enabled=False):
        x, d, s = x.float().flatten(2).transpose(1, 2), d.float(), s.float()
        distance = x.square().sum(2, keepdim=True) - 2 * x @ d.T + d.square().sum(1)
        a = (-s * distance).softmax(2)
        return a.transpose(1, 2) @ x - a.sum(1).unsqueeze(2) * d


def inference(torch, net, x, name):
    net.eval()
    if name != "eager":
        net, x = net.half().to(memory_format=torch.channels_last), x.half().to(memory_format=torch.channels_last)
    if name.startswith("compiled"):
        net = torch.compile(net, mode="max-autotune")

    def run():
        with torch.inference_mode():
            net(x)
        torch.cuda.synchronize()

    return run, name


def training(torch, net, x, name):
    from generators.network import owfl, owfl_weights

    net = net.train().to(memory_format=torch.channels_last)
    x = x.to(memory_format=torch.channels_last)
    labels = torch.randint(0, 19, (x.shape[0], *x.shape[2:]), device=DEVICE)
    frequencies = torch.tensor([0.6 ** i for i in range(19)], device=DEVICE)
    alpha, gamma = owfl_weights(frequencies / frequencies.sum())
    present = torch.ones(x.shape[0], 19, device=DEVICE)
    optimizer = torch.optim.Adam(net.parameters(), 1e-4, fused=True)
    bce = torch.nn.functional.binary_cross_entropy_with_logits

    def loss_of(x):
        with torch.autocast(DEVICE, torch.bfloat16):
            y, z = net(x, True)
        return owfl(y.float(), labels, alpha, gamma) + bce(z.float(), present)

    step = torch.compile(loss_of) if name == "compiled" else loss_of

    def run():
        loss = step(x)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        torch.cuda.synchronize()

    return run, f"{name}, channels-last, bf16 autocast"


def main(what, size, batch, name):
    import torch
    from compare_cpu import network, timed
    from generators import network as definition

    definition.aggregate = aggregate
    width, height = map(int, size.split("x"))
    net = network(19).to(DEVICE)
    x = torch.randn(int(batch), 3, height, width, device=DEVICE)
    run, name = (training if what == "training step" else inference)(torch, net, x, name)
    run()
    torch.cuda.reset_peak_memory_stats()
    found = timed(run, 2.0)
    print(json.dumps({**found, "memory": torch.cuda.max_memory_allocated(), "version": torch.__version__, "name": name}))


if __name__ == "__main__":
    main(*sys.argv[1:])
