#!/usr/bin/env python3
"""Hugging Face's Mixtral block on PyTorch, in one process, against our service:
forward, float32, 1,024 tokens. The peer gets its fastest form of those that work
here: experts one by one, as grouped products, compiled."""

import sys

import peer

peer.enter_environment("torch", ["torch==2.15.0", "transformers==5.23.0"])

import torch
from transformers import MixtralConfig
from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock
import transformers

TOKENS, HIDDEN, K = 1024, 1024, 2


def blocks(ffn, experts):
    """The forms of the block, by name."""
    # Not batched_mm: it copies a token's weights for every token, tens of GB.
    for form in ("eager", "grouped_mm"):
        config = MixtralConfig(hidden_size=HIDDEN, intermediate_size=ffn,
                               num_local_experts=experts, num_experts_per_tok=K)
        config._experts_implementation = form
        block = MixtralSparseMoeBlock(config).eval()
        for parameter in block.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
        yield form, block
        if form == "eager":
            yield "eager, compiled", torch.compile(block)


def fastest(ffn, experts, x):
    best = None
    for form, block in blocks(ffn, experts):
        try:
            with torch.inference_mode():
                for _ in range(2):
                    block(x)
                seconds = min(peer.timed(lambda: block(x)) for _ in range(3))
        except Exception as error:  # A form that does not work is no candidate.
            print(f"  {form}: {type(error).__name__}: {str(error).splitlines()[0][:100]}",
                  file=sys.stderr)
            continue
        print(f"  {form}: {TOKENS / seconds:.0f} tokens/s", file=sys.stderr)
        if best is None or seconds < best[0]:
            best = (seconds, form, block)
    return best[1], best[2]


def main():
    print(f"PyTorch {torch.__version__}, transformers {transformers.__version__}, "
          f"{torch.get_num_threads()} threads, MKL {torch.backends.mkl.is_available()}, "
          f"oneDNN {torch.backends.mkldnn.is_available()}", file=sys.stderr)
    torch.manual_seed(0)
    x = torch.rand(1, TOKENS, HIDDEN) - 0.5
    for ffn, experts, target in ((4096, 8, 1.05), (1024, 64, 2.0)):
        form, block = fastest(ffn, experts, x)
        with peer.Service(expert="gated", hidden=HIDDEN, ffn=ffn, experts=experts, k=K,
                          tokens=TOKENS) as service, torch.inference_mode():
            peer.compare(f"peers/torch_mixtral_{experts}_experts", target, TOKENS,
                         lambda: service.seconds("forward"), lambda: block(x))
        print(f"  fastest form: {form}", file=sys.stderr)


if __name__ == "__main__":
    main()
