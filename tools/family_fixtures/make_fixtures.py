#!/usr/bin/env python3
"""Makes tests/families: tiny checkpoints and what transformers computes.

Each folder holds a randomly initialised model of one family, written by
save_pretrained, and expected.safetensors with, for every MoE block, an input
and the block's own output. See tests/families/README.md.

    python3 tools/family_fixtures/make_fixtures.py [NAME...]
"""

import argparse
import pathlib
import shutil
import zlib

import torch
import transformers
from safetensors.torch import save_file

NUM_TOKENS = 12
OUTPUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "families"

# What every decoder-only model here has in common.
SMALL = dict(
    vocab_size=32,
    hidden_size=16,
    intermediate_size=12,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    max_position_embeddings=32,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
LATENT_ATTENTION = dict(
    num_key_value_heads=2,
    kv_lora_rank=8,
    q_lora_rank=8,
    qk_rope_head_dim=4,
    qk_nope_head_dim=4,
    v_head_dim=8,
)
SEQ_TO_SEQ = dict(
    vocab_size=32, d_model=16, pad_token_id=0, bos_token_id=1, eos_token_id=2
)
NLLB = dict(
    SEQ_TO_SEQ,
    encoder_layers=2,
    decoder_layers=1,
    encoder_ffn_dim=8,
    decoder_ffn_dim=10,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
    encoder_sparse_step=2,
    decoder_sparse_step=1,
    num_experts=4,
    max_position_embeddings=32,
)


class Family:
    """How to make one fixture."""

    def __init__(self, model, config, dtype="float32", keep_float32=(), **rest):
        self.model = getattr(transformers, model)
        self.config = config
        self.dtype = getattr(torch, dtype)
        # Ends of the names of parameters that stay float32, as in releases.
        self.keep_float32 = keep_float32
        self.max_shard_size = rest.pop("max_shard_size", "1GB")
        # Added to selection biases, to make them all negative.
        self.bias_shift = rest.pop("bias_shift", 0.0)
        # Spread of the router's weights.
        self.router_std = rest.pop("router_std", 0.4)
        assert not rest, rest


FAMILIES = {
    "mixtral": lambda: Family(
        "MixtralForCausalLM",
        transformers.MixtralConfig(
            **SMALL, num_local_experts=4, num_experts_per_tok=2
        ),
        max_shard_size="24KB",
    ),
    "qwen2_moe": lambda: Family(
        "Qwen2MoeForCausalLM",
        transformers.Qwen2MoeConfig(
            **SMALL,
            num_experts=6,
            num_experts_per_tok=3,
            moe_intermediate_size=8,
            shared_expert_intermediate_size=20,
            norm_topk_prob=False,
            mlp_only_layers=[0],
        ),
        dtype="bfloat16",
    ),
    "qwen3_moe": lambda: Family(
        "Qwen3MoeForCausalLM",
        transformers.Qwen3MoeConfig(
            **SMALL,
            head_dim=8,
            num_experts=8,
            num_experts_per_tok=3,
            moe_intermediate_size=8,
            norm_topk_prob=True,
            decoder_sparse_step=2,
        ),
    ),
    "olmoe": lambda: Family(
        "OlmoeForCausalLM",
        transformers.OlmoeConfig(
            **SMALL | {"num_hidden_layers": 1},
            num_experts=8,
            num_experts_per_tok=4,
            norm_topk_prob=False,
        ),
    ),
    "deepseek_v2": lambda: Family(
        "DeepseekV2ForCausalLM",
        transformers.DeepseekV2Config(
            **SMALL | LATENT_ATTENTION,
            n_routed_experts=6,
            n_shared_experts=2,
            num_experts_per_tok=2,
            moe_intermediate_size=8,
            first_k_dense_replace=1,
            topk_method="greedy",
            routed_scaling_factor=1.0,
        ),
    ),
    "deepseek_v2_grouped": lambda: Family(
        "DeepseekV2ForCausalLM",
        transformers.DeepseekV2Config(
            **SMALL | LATENT_ATTENTION,
            n_routed_experts=8,
            n_shared_experts=1,
            num_experts_per_tok=3,
            moe_intermediate_size=8,
            first_k_dense_replace=1,
            topk_method="group_limited_greedy",
            n_group=4,
            topk_group=2,
            norm_topk_prob=False,
            routed_scaling_factor=16.0,
        ),
    ),
    "deepseek_v3": lambda: Family(
        "DeepseekV3ForCausalLM",
        transformers.DeepseekV3Config(
            **SMALL | LATENT_ATTENTION | {"num_hidden_layers": 3},
            n_routed_experts=8,
            n_shared_experts=1,
            num_experts_per_tok=3,
            moe_intermediate_size=8,
            first_k_dense_replace=1,
            n_group=4,
            topk_group=2,
            norm_topk_prob=True,
            routed_scaling_factor=2.5,
        ),
        dtype="bfloat16",
        keep_float32=("e_score_correction_bias",),
        max_shard_size="16KB",
    ),
    "glm4_moe": lambda: Family(
        "Glm4MoeForCausalLM",
        transformers.Glm4MoeConfig(
            **SMALL,
            head_dim=8,
            n_routed_experts=6,
            n_shared_experts=1,
            num_experts_per_tok=2,
            moe_intermediate_size=8,
            first_k_dense_replace=1,
            n_group=1,
            topk_group=1,
            routed_scaling_factor=1.0,
        ),
        bias_shift=-3.0,
    ),
    "ernie4_5_moe": lambda: Family(
        "Ernie4_5_MoeForCausalLM",
        transformers.Ernie4_5_MoeConfig(
            **SMALL | {"num_hidden_layers": 3},
            moe_num_experts=6,
            moe_k=3,
            moe_num_shared_experts=2,
            moe_intermediate_size=8,
            moe_layer_start_index=1,
            moe_layer_interval=2,
            moe_layer_end_index=-1,
        ),
        dtype="bfloat16",
        keep_float32=("mlp.gate.weight", "e_score_correction_bias"),
    ),
    "gpt_oss": lambda: Family(
        "GptOssForCausalLM",
        transformers.GptOssConfig(
            **SMALL | {"num_hidden_layers": 1},
            head_dim=8,
            num_local_experts=6,
            num_experts_per_tok=3,
        ),
        dtype="bfloat16",
    ),
    "llama4_text": lambda: Family(
        "Llama4ForCausalLM",
        transformers.Llama4TextConfig(
            **SMALL,
            head_dim=8,
            intermediate_size_mlp=20,
            num_local_experts=4,
            num_experts_per_tok=1,
            interleave_moe_layer_step=2,
        ),
    ),
    "llama4": lambda: Family(
        "Llama4ForConditionalGeneration",
        transformers.Llama4Config(
            text_config=dict(
                SMALL,
                num_hidden_layers=1,
                head_dim=8,
                intermediate_size_mlp=20,
                num_local_experts=4,
                num_experts_per_tok=2,
                interleave_moe_layer_step=1,
            ),
            vision_config=dict(
                hidden_size=8,
                num_hidden_layers=1,
                num_attention_heads=1,
                intermediate_size=8,
                vision_output_dim=8,
                image_size=8,
                patch_size=4,
                projector_input_dim=8,
                projector_output_dim=8,
            ),
        ),
        dtype="bfloat16",
    ),
    "granitemoe": lambda: Family(
        "GraniteMoeForCausalLM",
        transformers.GraniteMoeConfig(
            **SMALL,
            num_local_experts=5,
            num_experts_per_tok=2,
            residual_multiplier=0.22,
        ),
        dtype="float16",
    ),
    "phimoe": lambda: Family(
        "PhimoeForCausalLM",
        transformers.PhimoeConfig(
            **SMALL,
            num_local_experts=6,
            num_experts_per_tok=2,
            # Wide, so that more than one expert survives the mask.
            router_jitter_noise=0.2,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        ),
    ),
    "hunyuan_v1_moe": lambda: Family(
        "HunYuanMoEV1ForCausalLM",
        transformers.HunYuanMoEV1Config(
            **SMALL, head_dim=8, num_experts=6, moe_topk=[2, 3]
        ),
    ),
    "hunyuan_v1_moe_top1": lambda: Family(
        "HunYuanMoEV1ForCausalLM",
        transformers.HunYuanMoEV1Config(
            **SMALL | {"num_hidden_layers": 1},
            head_dim=8,
            num_experts=4,
            moe_topk=1,
        ),
    ),
    "switch": lambda: Family(
        "SwitchTransformersForConditionalGeneration",
        transformers.SwitchTransformersConfig(
            **SEQ_TO_SEQ,
            d_kv=8,
            d_ff=12,
            num_heads=2,
            num_layers=2,
            num_decoder_layers=1,
            num_sparse_encoder_layers=1,
            num_sparse_decoder_layers=1,
            num_experts=4,
            expert_capacity=64,
        ),
    ),
    "switch_capacity": lambda: Family(
        "SwitchTransformersForConditionalGeneration",
        transformers.SwitchTransformersConfig(
            **SEQ_TO_SEQ,
            d_kv=8,
            d_ff=12,
            num_heads=2,
            num_layers=1,
            num_decoder_layers=1,
            num_sparse_encoder_layers=1,
            num_sparse_decoder_layers=1,
            num_experts=4,
            expert_capacity=3,
            router_bias=True,
        ),
    ),
    "nllb_moe": lambda: Family(
        "NllbMoeForConditionalGeneration",
        transformers.NllbMoeConfig(
            **NLLB, normalize_router_prob_before_dropping=False
        ),
    ),
    "nllb_moe_before_dropping": lambda: Family(
        "NllbMoeForConditionalGeneration",
        transformers.NllbMoeConfig(
            **NLLB,
            normalize_router_prob_before_dropping=True,
            moe_eval_capacity_token_fraction=0.4,
            moe_token_dropout=0.0,
        ),
        router_std=0.6,
    ),
}

# The MoE block's class -> the name of its router submodule.
BLOCKS = {
    "MixtralSparseMoeBlock": "gate",
    "Qwen2MoeSparseMoeBlock": "gate",
    "Qwen3MoeSparseMoeBlock": "gate",
    "OlmoeSparseMoeBlock": "gate",
    "DeepseekV2Moe": "gate",
    "DeepseekV3MoE": "gate",
    "Glm4MoeMoE": "gate",
    "Ernie4_5_MoeSparseMoeBlock": "gate",
    "GptOssMLP": "router",
    "Llama4TextMoe": "router",
    "GraniteMoeMoE": "router",
    "PhimoeSparseMoeBlock": "router",
    "HunYuanMoEV1Moe": "gate",
    "SwitchTransformersSparseMLP": "router",
    "NllbMoeSparseMLP": "router",
}


def correct_nllb_experts(self, hidden_states, router_mask, router_probs):
    """NllbMoeExperts.forward as transformers 4 and fairseq have it.

    transformers 5 takes the one-hot of the top-1 *mask* instead of that of the
    expert's index, and so runs only experts 0 and 1.
    """
    del router_mask
    result = torch.zeros_like(hidden_states)
    for idx in range(self.num_experts):
        tokens = router_probs[:, idx].nonzero().squeeze(-1)
        output = self[f"expert_{idx}"](hidden_states[tokens])
        output = output * (1 - self.moe_token_dropout)
        result.index_add_(0, tokens, output * router_probs[tokens, idx, None])
    return result


def initialise(model, family):
    """Sets every parameter to random values of a useful size."""
    for name, value in model.state_dict().items():
        noise = torch.randn(value.shape)
        if "correction_bias" in name:
            value.copy_(0.3 * noise + family.bias_shift)
        elif "layernorm" in name or "layer_norm" in name or ".norm." in name:
            value.copy_(1 + 0.1 * noise)
        elif any(s in name for s in (".gate.", "router", ".wg.")):
            value.copy_(family.router_std * noise)
        elif value.is_floating_point():
            value.copy_(0.3 * noise)


def round_to_file_dtypes(model, family):
    """Gives every parameter the dtype, and so the value, it has on disk."""
    exact = {name: value.clone() for name, value in model.state_dict().items()}
    model.to(family.dtype)
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    for name, tensor in tensors.items():
        if name.endswith(tuple(family.keep_float32)):
            tensor.data = exact[name]


def path_on_disk(name, model):
    """The MoE block's path as the checkpoint's files spell it."""
    if model.config.model_type in ("mixtral", "phimoe"):
        return name.replace(".mlp", ".block_sparse_moe")
    if model.config.model_type == "llama4":
        return name.replace("model.language_model.", "language_model.model.")
    return name


def dense_weights(kind, outputs):
    """The router's weights [tokens, experts], 0 where no route, and logits."""
    if kind == "Llama4TextMoe":
        scores, logits = outputs
        return scores, logits
    if kind == "SwitchTransformersSparseMLP":
        mask, probs, logits = (o.reshape(-1, o.shape[-1]) for o in outputs)
        return mask * probs, logits
    if kind == "NllbMoeSparseMLP":
        return outputs[1], outputs[2]
    logits, weights, ids = outputs
    dense = torch.zeros(logits.shape)
    return dense.scatter_add_(1, ids, weights.float()), logits


def expected_of(model):
    """Runs every MoE block on an input of its own."""
    tensors = {}
    for name, module in model.named_modules():
        kind = type(module).__name__
        if kind not in BLOCKS:
            continue
        routed = []
        router = getattr(module, BLOCKS[kind])
        hook = router.register_forward_hook(
            lambda _m, _i, output: routed.append(output)
        )
        x = torch.randn(1, NUM_TOKENS, 16)
        y = module(x.clone())
        hook.remove()
        y = y[0] if isinstance(y, tuple) else y
        weights, logits = dense_weights(kind, routed[0])
        path = path_on_disk(name, model)
        tensors[f"{path}.x"] = x[0].contiguous()
        tensors[f"{path}.y"] = y.reshape(NUM_TOKENS, 16).contiguous()
        tensors[f"{path}.router_logits"] = logits.float().contiguous()
        tensors[f"{path}.router_weights"] = weights.float().contiguous()
    assert tensors, "no MoE block found"
    return tensors


@torch.no_grad()
def make(name):
    family = FAMILIES[name]()
    torch.manual_seed(zlib.crc32(name.encode()))
    family.config._experts_implementation = "eager"
    model = family.model(family.config).float().eval()
    initialise(model, family)
    round_to_file_dtypes(model, family)
    folder = OUTPUT / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, max_shard_size=family.max_shard_size)
    (folder / "generation_config.json").unlink(missing_ok=True)
    expected = expected_of(model.float())
    save_file(expected, folder / "expected.safetensors")
    for file in folder.iterdir():
        file.chmod(0o644)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name}: {len(expected) // 4} MoE layers, {size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names or list(FAMILIES)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()
    experts = transformers.models.nllb_moe.modeling_nllb_moe.NllbMoeExperts
    experts.forward = correct_nllb_experts
    for name in names:
        make(name)


if __name__ == "__main__":
    main()
