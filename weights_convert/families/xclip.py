"""X-CLIP's map: CLIP's blocks under their names in the checkpoint, two towers."""

from __future__ import annotations

from weights_convert.rules import FamilyMap

__all__ = ["MAP"]

_PROMPTS = "prompts_generator.decoder.*"

MAP = FamilyMap(
    base_prefix="",
    rows=(
        (f"{_PROMPTS}.cross_attn.query", f"{_PROMPTS}.cross_attn.q_proj"),
        (f"{_PROMPTS}.cross_attn.key", f"{_PROMPTS}.cross_attn.k_proj"),
        (f"{_PROMPTS}.cross_attn.value", f"{_PROMPTS}.cross_attn.v_proj"),
        (f"{_PROMPTS}.cross_attn.out", f"{_PROMPTS}.cross_attn.proj"),
        (f"{_PROMPTS}.mlp.fc1", f"{_PROMPTS}.mlp.0"),
        (f"{_PROMPTS}.mlp.fc2", f"{_PROMPTS}.mlp.3"),
        (f"{_PROMPTS}.norm1", f"{_PROMPTS}.norm1"),
        ("self_attn.query", "self_attn.q_proj"),
        ("self_attn.key", "self_attn.k_proj"),
        ("self_attn.value", "self_attn.v_proj"),
        ("self_attn.out", "self_attn.out_proj"),
        ("message_attn.query", "message_attn.q_proj"),
        ("message_attn.key", "message_attn.k_proj"),
        ("message_attn.value", "message_attn.v_proj"),
        ("message_attn.out", "message_attn.out_proj"),
        ("norm1", "layer_norm1"),
        ("norm2", "layer_norm2"),
        ("patch_embedding.projection", "patch_embedding"),
    ),
    ignore=("embeddings.position_ids",),
    towers=("text_model", "vision_model"),
)
