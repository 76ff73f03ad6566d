#!/usr/bin/env python3
"""Hivemind's remote mixture of experts, its server in another process of this
machine, against our service: 64 tokens, hidden 1024, ffn 4096, 8 experts, k 2;
forward, and forward with backward (its server steps at every backward)."""

import sys

import peer

peer.enter_environment("hivemind", ["torch==2.15.0", "hivemind==1.1.12"])

import hivemind
import torch
from hivemind.moe import RemoteMixtureOfExperts, Server

TOKENS, HIDDEN, FFN, EXPERTS, K = 64, 1024, 4096, 8, 2


def main():
    print(f"Hivemind {hivemind.__version__}, PyTorch {torch.__version__}, "
          f"{torch.get_num_threads()} threads", file=sys.stderr)
    torch.manual_seed(0)
    server = Server.create(
        expert_uids=[f"ffn.{i}" for i in range(EXPERTS)], expert_cls="ffn", hidden_dim=HIDDEN,
        optim_cls=torch.optim.AdamW, num_handlers=2, max_batch_size=4096, start=True)
    dht = hivemind.DHT(initial_peers=server.dht.get_visible_maddrs(), start=True)
    mixture = RemoteMixtureOfExperts(in_features=HIDDEN, grid_size=(EXPERTS,), dht=dht, k_best=K,
                                     k_min=K, uid_prefix="ffn.", forward_timeout=60,
                                     backward_timeout=60)
    x = (torch.rand(TOKENS, HIDDEN) - 0.5).requires_grad_()
    grad = torch.rand(TOKENS, HIDDEN) - 0.5

    def forward():
        with torch.no_grad():
            mixture(x)

    def train():
        mixture(x).backward(grad)

    try:
        with peer.Service(expert="gelu", hidden=HIDDEN, ffn=FFN, experts=EXPERTS, k=K,
                          tokens=TOKENS) as service:
            peer.compare("peers/hivemind_forward", 20, TOKENS,
                         lambda: service.seconds("forward"), forward, repeats=5)
            peer.compare("peers/hivemind_train", 15, TOKENS,
                         lambda: service.seconds("train"), train, repeats=5)
    finally:
        dht.shutdown()
        server.shutdown()


if __name__ == "__main__":
    main()
