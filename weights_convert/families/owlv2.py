"""OWLv2's map: CLIP's two towers under ``owlv2.``, and the heads of the detector beside them."""

from __future__ import annotations

from weights_convert.rules import FamilyMap

__all__ = ["MAP"]

MAP = FamilyMap(
    base_prefix="owlv2",
    rows=(
        ("self_attn.query", "self_attn.q_proj"),
        ("self_attn.key", "self_attn.k_proj"),
        ("self_attn.value", "self_attn.v_proj"),
        ("self_attn.out", "self_attn.out_proj"),
        ("norm1", "layer_norm1"),
        ("norm2", "layer_norm2"),
        ("patch_embedding.projection", "patch_embedding"),
    ),
    heads=("class_head", "box_head", "objectness_head", "layer_norm"),
    ignore=("embeddings.position_ids",),
    towers=("text_model", "vision_model"),
)
