"""Faults planted in the models and their layers."""

from __future__ import annotations

from tests.planted_faults.fault import Fault

TIMESFORMER = (
    Fault(
        name="timesformer-class-token-of-one-frame",
        file="tfzoo/models/timesformer/layers.py",
        old="return ops.mean(attended[:, :, 0], axis=1, keepdims=True), changes, weights",
        new="return attended[:, :1, 0], changes, weights",
        tests="tests/models/timesformer/test_model.py",
    ),
    Fault(
        name="timesformer-qkv-bias-ignored",
        file="tfzoo/models/timesformer/layers.py",
        old="qkv_bias=config.qkv_bias,",
        new="qkv_bias=True,",
        tests="tests/models/timesformer/test_model.py",
    ),
    Fault(
        name="timesformer-resized-grid-transposed",
        file="tfzoo/models/timesformer/layers.py",
        old="resize_grid_nearest(self.position_embeddings[0, 1:], *grid)",
        new="resize_grid_nearest(self.position_embeddings[0, 1:], *grid[::-1])",
        tests="tests/models/timesformer/test_model.py",
    ),
    Fault(
        name="timesformer-no-stochastic-depth-in-time",
        file="tfzoo/models/timesformer/layers.py",
        old="attended = self.drop_path(self.temporal_attention(x)[0])",
        new="attended = self.temporal_attention(x)[0]",
        tests="tests/models/timesformer/test_model.py",
    ),
    Fault(
        name="timesformer-problem-type-ignored",
        file="tfzoo/models/timesformer/model.py",
        old="config.num_labels, config.problem_type, weights",
        new="config.num_labels, None, weights",
        tests="tests/models/timesformer/test_model.py",
    ),
    Fault(
        name="timesformer-size-check-by-frames-alone",
        file="tfzoo/models/timesformer/model.py",
        old="if tokens % (config.num_frames * columns):",
        new="if tokens % config.num_frames:",
        tests="tests/models/timesformer/test_model.py",
    ),
    Fault(
        name="timesformer-frames-indices-taken-for-rows",
        file="tfzoo/models/timesformer/model.py",
        old="are_frames = rank == 2 and (is_index or labels.shape[-1] != width)",
        new="are_frames = rank == 2 and labels.shape[-1] != width",
        tests="tests/models/timesformer/test_model.py",
    ),
)

XCLIP = (
    Fault(
        name="xclip-first-frame-for-the-mean",
        file="tfzoo/models/xclip/layers.py",
        old="return x, ops.mean(x, axis=1), states, weights",
        new="return x, x[:, 0], states, weights",
        tests="tests/models/xclip/test_model.py",
    ),
    Fault(
        name="xclip-prompt-alpha-ignored",
        file="tfzoo/models/xclip/layers.py",
        old="keras.initializers.Constant(self.config.prompt_alpha)",
        new="keras.initializers.Constant(0.1)",
        tests="tests/models/xclip/test_model.py",
    ),
    Fault(
        name="xclip-prompts-see-the-class-token",
        file="tfzoo/models/xclip/model.py",
        old="self.prompts_visual_layernorm(frames[:, 1:])",
        new="self.prompts_visual_layernorm(frames)",
        tests="tests/models/xclip/test_model.py",
    ),
    Fault(
        name="xclip-prompt-dropouts-confused",
        file="tfzoo/models/xclip/layers.py",
        old="hidden_dropout=config.prompt_attention_dropout,",
        new="hidden_dropout=config.prompt_projection_dropout,",
        tests="tests/models/xclip/test_model.py",
    ),
    Fault(
        name="xclip-logit-scale-without-exp",
        file="tfzoo/models/xclip/model.py",
        old="ops.cast(ops.exp(self.logit_scale), text.dtype) * text",
        new="ops.cast(self.logit_scale, text.dtype) * text",
        tests="tests/models/xclip/test_model.py",
    ),
    Fault(
        name="xclip-rank-worst-first",
        file="tfzoo/models/xclip/zero_shot.py",
        old="order = (-rows).argsort(",
        new="order = rows.argsort(",
        tests="tests/models/xclip/test_use.py",
    ),
    Fault(
        name="xclip-tuple-with-integration",
        file="tfzoo/models/xclip/model.py",
        old="return self.to_tuple()[:-1]",
        new="return self.to_tuple()",
        tests="tests/models/xclip/test_use.py",
    ),
)

OWLV2 = (
    Fault(
        name="owlv2-logit-shift-after-the-scale",
        file="tfzoo/models/owlv2/layers.py",
        old="logits = (logits + self.logit_shift(features)) * scale",
        new="logits = logits * scale + self.logit_shift(features)",
        tests="tests/models/owlv2/test_model.py",
    ),
    Fault(
        name="owlv2-bank-judges-padding-by-the-last-id",
        file="tfzoo/models/owlv2/detection.py",
        old='ops.greater(ops.convert_to_tensor(inputs["input_ids"])[:, 0], 0)',
        new='ops.greater(ops.convert_to_tensor(inputs["input_ids"])[:, -1], 0)',
        tests="tests/models/owlv2/test_model.py",
    ),
    Fault(
        name="owlv2-guided-by-the-most-common",
        file="tfzoo/models/owlv2/guided.py",
        old='ops.where(kept, -similarity, -float("inf"))',
        new='ops.where(kept, similarity, -float("inf"))',
        tests="tests/models/owlv2/test_model.py",
    ),
    Fault(
        name="owlv2-guided-by-centres-as-corners",
        file="tfzoo/models/owlv2/detection.py",
        old="choose_queries(embeds, to_corners(boxes), query_boxes)",
        new="choose_queries(embeds, boxes, query_boxes)",
        tests="tests/models/owlv2/test_model.py",
    ),
    Fault(
        name="owlv2-guided-return-dict-ignored",
        file="tfzoo/models/owlv2/detection.py",
        old="_choice(return_dict, config.return_dict)",
        new="_choice(return_dict, True)",
        tests="tests/models/owlv2/test_model.py",
    ),
    Fault(
        name="owlv2-queries-filled-up-in-front",
        file="tfzoo/models/owlv2/processor.py",
        old="[*texts, *[_FILLER] * (longest - len(texts))]",
        new="[*[_FILLER] * (longest - len(texts)), *texts]",
        tests="tests/models/owlv2/test_processor.py",
    ),
    Fault(
        name="owlv2-detections-at-the-threshold",
        file="tfzoo/models/owlv2/postprocessing.py",
        old="keep = scores > float(threshold)",
        new="keep = scores >= float(threshold)",
        tests="tests/models/owlv2/test_postprocessing.py",
    ),
    Fault(
        name="owlv2-resize-without-blur",
        file="tfzoo/models/owlv2/image_processor.py",
        old="antialiased_resize(image, tuple(settings.size.values()))",
        new="antialiased_resize(image, tuple(settings.size.values()), (0.0, 0.0))",
        tests="tests/models/owlv2/test_image_processor.py",
    ),
)

LXMERT = (
    Fault(
        name="lxmert-objects-summed-not-averaged",
        file="tfzoo/models/lxmert/layers.py",
        old="return self.dropout((features + places) * 0.5)",
        new="return self.dropout(features + places)",
        tests="tests/models/lxmert/test_model.py",
    ),
    Fault(
        name="lxmert-cross-layer-sees-padded-objects",
        file="tfzoo/models/lxmert/layers.py",
        old="vision, _ = self.visn_self_att(vision, masked=vision_masked)",
        new="vision, _ = self.visn_self_att(vision)",
        tests="tests/models/lxmert/test_inputs.py",
    ),
    Fault(
        name="lxmert-answers-by-the-configs-activation",
        file="tfzoo/models/lxmert/layers.py",
        old='linear(sizes, 2 * sizes.width, "dense", gelu)',
        new='linear(sizes, 2 * sizes.width, "dense", get_activation(sizes.activation))',
        tests="tests/models/lxmert/test_model.py",
    ),
    Fault(
        name="lxmert-visual-loss-normalizer-ignored",
        file="tfzoo/models/lxmert/pretraining.py",
        old="factor = self.config.visual_loss_normalizer",
        new="factor = 6.67",
        tests="tests/models/lxmert/test_training.py",
    ),
    Fault(
        name="lxmert-objects-of-class-zero-ignored",
        file="tfzoo/models/lxmert/pretraining.py",
        old="counts = ops.not_equal(label, IGNORE_INDEX)",
        new="counts = ops.greater(label, 0)",
        tests="tests/models/lxmert/test_training.py",
    ),
    Fault(
        name="lxmert-new-answers-bias-in-front",
        file="tfzoo/models/lxmert/model.py",
        old="ops.pad(old.bias[:kept], (0, num_labels - kept))",
        new="ops.pad(old.bias[:kept], (num_labels - kept, 0))",
        tests="tests/models/lxmert/test_model.py",
    ),
    Fault(
        name="lxmert-longest-text-refused",
        file="tfzoo/models/lxmert/inputs.py",
        old="if length is not None and length > limit:",
        new="if length is not None and length >= limit:",
        tests="tests/models/lxmert/test_wrong_inputs.py",
    ),
    Fault(
        name="lxmert-epsilon-without-a-warning",
        file="tfzoo/models/lxmert/model.py",
        old="if epsilon != PYTORCH_EPSILON and",
        new="if epsilon < PYTORCH_EPSILON and",
        tests="tests/models/lxmert/test_model.py",
    ),
)

PERCEIVER = (
    Fault(
        name="perceiver-scale-by-all-heads-width",
        file="tfzoo/models/perceiver/engine.py",
        old="query = self.query(x) * (self.sizes.qk // self.sizes.heads) ** -0.5",
        new="query = self.query(x) * self.sizes.qk**-0.5",
        tests="tests/models/perceiver/test_model.py",
    ),
    Fault(
        name="perceiver-outputs-queried-at-the-middle-of-cells",
        file="tfzoo/models/perceiver/positions.py",
        old='np.arange(size, dtype="float32") / np.float32(size)',
        new='np.arange(0.5, size, dtype="float32") / np.float32(size)',
        tests="tests/models/perceiver/test_multimodal.py",
    ),
    Fault(
        name="perceiver-convolution-padded-as-tensorflow-does",
        file="tfzoo/models/perceiver/preprocessors.py",
        old="((0, 0), (3, 3), (3, 3), (0, 0))",
        new="((0, 0), (2, 3), (2, 3), (0, 0))",
        tests="tests/models/perceiver/test_model.py",
    ),
    Fault(
        name="perceiver-interpolated-grid-transposed",
        file="tfzoo/models/perceiver/preprocessors.py",
        old="resize_grid_bicubic(table[0], *dims)[None]",
        new="resize_grid_bicubic(table[0], *dims[::-1])[None]",
        tests="tests/models/perceiver/test_model.py",
    ),
    Fault(
        name="perceiver-label-loss-weight",
        file="tfzoo/models/perceiver/heads/multimodal.py",
        old='"label": 0.0001}',
        new='"label": 0.001}',
        tests="tests/models/perceiver/test_multimodal.py",
    ),
    Fault(
        name="perceiver-modalities-in-the-order-given",
        file="tfzoo/models/perceiver/postprocessors.py",
        old="for modality in sorted(sizes):",
        new="for modality in sizes:",
        tests="tests/models/perceiver/test_parts.py",
    ),
    Fault(
        name="perceiver-mask-inverted-in-training",
        file="tfzoo/models/perceiver/heads/multimodal.py",
        old="return (1 - hidden) * x + hidden * vector",
        new="return hidden * x + (1 - hidden) * vector",
        tests="tests/models/perceiver/test_multimodal.py",
    ),
    Fault(
        name="perceiver-crop-rounded",
        file="tfzoo/models/perceiver/image_processor.py",
        old="int(target / whole * shorter)",
        new="round(target / whole * shorter)",
        tests="tests/models/perceiver/test_image_processor.py",
    ),
    Fault(
        name="perceiver-tuple-with-all-weights-in-one",
        file="tfzoo/models/perceiver/engine.py",
        old="return (*others, (encoder,), *decoder)",
        new="return (*others, (encoder, *decoder))",
        tests="tests/models/perceiver/test_model.py",
    ),
)

TVP = (
    Fault(
        name="tvp-removed-prompts-leave-pixels",
        file="tfzoo/models/tvp/layers.py",
        old='if self.mode != "add":',
        new='if self.mode == "replace":',
        tests="tests/models/tvp/test_model.py",
    ),
    Fault(
        name="tvp-prompts-by-video-not-by-frame",
        file="tfzoo/models/tvp/model.py",
        old="self.visual_prompter(some, rows % length, interpolate=interpolate)",
        new="self.visual_prompter(some, rows // length, interpolate=interpolate)",
        tests="tests/models/tvp/test_model.py",
    ),
    Fault(
        name="tvp-mask-of-prompts-behind-the-text",
        file="tfzoo/models/tvp/model.py",
        old="[next(ones), tokens, next(ones)]",
        new="[tokens, next(ones), next(ones)]",
        tests="tests/models/tvp/test_model.py",
    ),
    Fault(
        name="tvp-rows-and-columns-swapped",
        file="tfzoo/models/tvp/layers.py",
        old="x = grid + (rows[:, None] + columns[None])",
        new="x = grid + (rows[None] + columns[:, None])",
        tests="tests/models/tvp/test_model.py",
    ),
    Fault(
        name="tvp-distance-loss-without-its-least",
        file="tfzoo/models/tvp/losses.py",
        old="ops.maximum(ops.abs(next(middles) - next(middles)) / duration, _LEAST_DISTANCE)",
        new="ops.abs(next(middles) - next(middles)) / duration",
        tests="tests/models/tvp/test_losses.py",
    ),
    Fault(
        name="tvp-duration-loss-weight-ignored",
        file="tfzoo/models/tvp/model.py",
        old="self.config.duration_loss_weight * parts",
        new="0.1 * parts",
        tests="tests/models/tvp/test_losses.py",
    ),
    Fault(
        name="tvp-videos-of-one-frame-taken",
        file="tfzoo/models/tvp/processor.py",
        old="if len(video) < 2:",
        new="if len(video) < 1:",
        tests="tests/models/tvp/test_processor.py",
    ),
)

LAYERS = (
    Fault(
        name="pruned-heads-renumbered",
        file="tfzoo/layers/attention.py",
        old="for i, head in enumerate(self.heads) if head not in heads]",
        new="for i, head in enumerate(self.heads) if i not in heads]",
        tests="tests/modeling/test_pruning.py",
    ),
    Fault(
        name="layers-norm-epsilon-outside-the-root",
        file="tfzoo/layers/norm.py",
        old="scale = ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + self.epsilon)",
        new="scale = 1.0 / (ops.std(x, axis=-1, keepdims=True) + self.epsilon)",
        tests="tests/layers/test_layers.py",
    ),
    Fault(
        name="layers-attention-scale-of-keys",
        file="tfzoo/layers/attention.py",
        old="scaled = query * query.shape[-1] ** -0.5",
        new="scaled = query * key.shape[-2] ** -0.5",
        tests="tests/layers/test_layers.py tests/models/timesformer/test_model.py",
    ),
    Fault(
        name="layers-bicubic-kernel-of-tensorflow",
        file="tfzoo/layers/positions.py",
        old="a: float = -0.75",
        new="a: float = -0.5",
        tests="tests/layers/test_layers.py tests/models/xclip/test_model.py",
    ),
    Fault(
        name="layers-mask-of-fractions",
        file="tfzoo/layers/masks.py",
        old='ops.not_equal(ops.cast(attention_mask, "float32"), 1.0)',
        new='ops.equal(ops.cast(attention_mask, "float32"), 0.0)',
        tests="tests/models/xclip/test_model.py",
    ),
    Fault(
        name="layers-streamed-sum-not-rescaled",
        file="tfzoo/layers/attention.py",
        old="total = total * kept + ops.sum(weights, axis=-1, keepdims=True)",
        new="total = total + ops.sum(weights, axis=-1, keepdims=True)",
        tests="tests/models/perceiver/test_model.py",
    ),
    Fault(
        name="layers-hidden-dropout-of-zero-unset",
        file="tfzoo/layers/mlp.py",
        old="make_dropout(dropout if hidden_dropout is None else hidden_dropout)",
        new="make_dropout(hidden_dropout or dropout)",
        tests="tests/models/lxmert/test_inputs.py",
    ),
    Fault(
        name="layers-chain-drops-the-first-bias",
        file="tfzoo/layers/linear.py",
        old="bias = ops.matmul(first.bias[None], second.kernel)[0] + second.bias",
        new="bias = second.bias",
        tests="tests/layers/test_layers.py",
    ),
    Fault(
        name="layers-resnet-stride-option-ignored",
        file="tfzoo/layers/resnet.py",
        old="(stride, 1) if sizes.downsample_in_bottleneck else (1, stride)",
        new="(1, stride)",
        tests="tests/layers/test_resnet.py tests/models/tvp/test_model.py",
    ),
    Fault(
        name="layers-leaky-relu-by-keras",
        file="tfzoo/layers/activations.py",
        old="ops.leaky_relu(x, 0.01)",
        new="ops.leaky_relu(x, 0.2)",
        tests="tests/layers/test_layers.py",
    ),
)

FAULTS = (*TIMESFORMER, *XCLIP, *OWLV2, *LXMERT, *PERCEIVER, *TVP, *LAYERS)
