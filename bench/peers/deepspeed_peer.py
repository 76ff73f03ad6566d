#!/usr/bin/env python3
"""DeepSpeed's MoE layer, in one process, against our service: forward, backward
and an AdamW step, float32, 1,024 tokens, capacity factor 1 with drops."""

import os
import sys

import peer

peer.enter_environment("deepspeed", ["torch==2.15.0", "deepspeed==0.19.8"])

os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29517", RANK="0", LOCAL_RANK="0",
                  WORLD_SIZE="1", DS_ACCELERATOR="cpu")

import deepspeed
import torch
from deepspeed.moe.layer import MoE

TOKENS, HIDDEN, FFN, K = 1024, 512, 2048, 2


def training_step(experts):
    """A call that trains one step, with the fastest AdamW that PyTorch has."""
    expert = torch.nn.Sequential(torch.nn.Linear(HIDDEN, FFN), torch.nn.ReLU(),
                                 torch.nn.Linear(FFN, HIDDEN))
    layer = MoE(HIDDEN, expert, num_experts=experts, k=K, capacity_factor=1.0).train()
    layer.set_deepspeed_parallelism()
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-6, fused=True)
    x = (torch.rand(1, TOKENS, HIDDEN) - 0.5).requires_grad_()
    grad = torch.rand(1, TOKENS, HIDDEN) - 0.5

    def step():
        y, _, _ = layer(x)
        y.backward(grad)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        x.grad = None

    return step


def main():
    deepspeed.init_distributed(dist_backend="gloo", verbose=False)
    print(f"DeepSpeed {deepspeed.__version__}, PyTorch {torch.__version__}, "
          f"{torch.get_num_threads()} threads", file=sys.stderr)
    torch.manual_seed(0)
    for experts, target in ((8, 1.2), (64, 3.0)):
        step = training_step(experts)
        with peer.Service(expert="relu", hidden=HIDDEN, ffn=FFN, experts=experts, k=K,
                          tokens=TOKENS, drop=True) as service:
            peer.compare(f"peers/deepspeed_{experts}_experts", target, TOKENS,
                         lambda: service.seconds("train"), step)


if __name__ == "__main__":
    main()
