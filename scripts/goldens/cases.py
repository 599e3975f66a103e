# SPDX-License-Identifier: Apache-2.0
"""What the goldens are made of: models, prompts and sequences of predictor calls."""

FRAME_SEED = 1

# Prompts of the stage goldens, in pixels of the generated 320 x 240 frames; tests/golden/test_stages.c has the same.
BOX = (50, 52, 85, 65)
REFINE = ((92, 84, 1), (226, 158, 0))
MASK_SHAPE = 0

# Seeds for which the generated weights find the box's object on these frames (object score > 0) and whose hypotheses
# differ clearly in predicted IoU. tests/golden/seeded_weights.c has the same table.
SEEDS = {"tiny": 4, "small": 4, "base+": 7, "large": 4}


def _official(family, size, image_size, **kwargs):
    return dict(name=f"{family}-{size}-{image_size}", family=family, size=size,
                image_size=image_size, seed=SEEDS[size], **kwargs)


STAGE_MODELS = [_official(f, s, 1024) for f in ("sam2.1", "sam2") for s in SEEDS]
STAGE_MODELS += [_official("sam2.1", "tiny", 512), _official("sam2", "tiny", 512),
                 dict(name="demo", family=None)]

# Calls in the order the predictor gets them. A propagate call covers first..last inclusive, backwards if last < first.
# "record": the prompt's own result is stored as well, before anything else runs.
_box = {"call": "box", "frame": 0, "object": 1, "box": [50, 52, 85, 65]}
_ten = {"call": "propagate", "first": 0, "last": 10}

CASES = {c["name"]: c for c in [
    {"name": "box", "calls": [_box, _ten]},
    {"name": "click", "calls": [{"call": "points", "frame": 0, "object": 1, "points": [[226, 158, 1]]}, _ten]},
    {"name": "mask", "calls": [{"call": "mask", "frame": 0, "object": 1, "shape": 0}, _ten]},
    {"name": "two-clicks",
     "calls": [{"call": "points", "frame": 0, "object": 1, "points": [[60, 196, 1], [226, 158, 0]]}, _ten]},
    # one call with both: the decoder sees the box's corners, then the clicks
    {"name": "box-and-clicks",
     "calls": [{"call": "points", "frame": 0, "object": 1, "box": [50, 52, 85, 65],
                "points": [[70, 110, 1], [226, 158, 0]]}, _ten]},
    # a second click on the prompted frame, before anything is tracked: the first result is its mask prompt
    {"name": "refine",
     "calls": [{"call": "points", "frame": 0, "object": 1, "points": [[92, 84, 1]], "record": True},
               {"call": "points", "frame": 0, "object": 1, "points": [[226, 158, 0]], "record": True},
               {"call": "propagate", "first": 0, "last": 6}]},
    # a click on a tracked frame replaces its result; tracking goes on from the next frame
    {"name": "correction",
     "calls": [_box, {"call": "propagate", "first": 0, "last": 4},
               {"call": "points", "frame": 4, "object": 1, "points": [[110, 92, 1]], "record": True},
               {"call": "propagate", "first": 5, "last": 10}]},
    {"name": "correction-as-condition", "options": {"correct_as_condition": True},
     "calls": [_box, {"call": "propagate", "first": 0, "last": 4},
               {"call": "points", "frame": 4, "object": 1, "points": [[110, 92, 1]], "record": True},
               {"call": "propagate", "first": 5, "last": 10}]},
    # more conditioning frames than are read: of those left out, the ones of the last six frames count as tracked
    {"name": "max-prompts", "options": {"correct_as_condition": True, "max_prompts": 2},
     "calls": [_box, {"call": "propagate", "first": 0, "last": 3},
               {"call": "points", "frame": 3, "object": 1, "points": [[106, 90, 1]], "record": True},
               {"call": "propagate", "first": 4, "last": 5},
               {"call": "points", "frame": 5, "object": 1, "points": [[112, 93, 1]], "record": True},
               {"call": "propagate", "first": 6, "last": 7},
               {"call": "points", "frame": 7, "object": 1, "points": [[118, 96, 1]], "record": True},
               {"call": "propagate", "first": 8, "last": 8},
               {"call": "points", "frame": 8, "object": 1, "points": [[121, 98, 1]], "record": True},
               {"call": "propagate", "first": 9, "last": 15}]},
    # the second object joins on frame 3
    {"name": "two-objects",
     "calls": [_box, {"call": "propagate", "first": 0, "last": 2},
               {"call": "points", "frame": 3, "object": 2, "points": [[210, 152, 1]]},
               {"call": "propagate", "first": 3, "last": 10}]},
    {"name": "reverse",
     "calls": [{"call": "points", "frame": 15, "object": 1, "points": [[192, 136, 1]]},
               {"call": "propagate", "first": 15, "last": 5}]},
    {"name": "plain", "options": {"plain": True}, "calls": [_box, _ten]},
    # the frames without anything in sight: absent object in the generated models
    {"name": "blank", "blank": True,
     "calls": [{"call": "points", "frame": 0, "object": 1, "points": [[226, 158, 1]]}, _ten]},
    {"name": "box-short", "calls": [_box, {"call": "propagate", "first": 0, "last": 8}]},
    # long enough for pointers to leave the bank
    {"name": "long", "calls": [_box, {"call": "propagate", "first": 0, "last": 23}]},
]}

# memory: cases whose memories are stored as well, for comparison from the official ones in every frame
_forced = ("box", "click", "mask", "blank")
_short = ["box", "click", "mask", "two-clicks", "correction", "plain", "blank"]
# The masks of generated weights are finely textured: some hole of 8 or 9 pixels hangs on a logit of 1e-4 in every case.
# So their holes are not filled here; the trained model's cases and the stage goldens are what covers filling.
_unfilled = {"fill_holes": False}
TRACKING_MODELS = [
    dict(name="demo", family=None, memory=_forced, options={}, cases=[c for c in CASES if c != "box-short"]),
    _official("sam2.1", "tiny", 256, memory=_forced, options=_unfilled, cases=_short),
    _official("sam2", "tiny", 256, memory=("box",), options=_unfilled, cases=["box", "mask", "blank"]),
    # to frame 8, where the object score is still clear of zero
    _official("sam2.1", "tiny", 512, memory=(), options=_unfilled, cases=["box-short"]),
]

HASHED_TENSORS = [
    ("image_encoder.trunk.patch_embed.proj.weight", (96, 3, 7, 7)),
    ("image_encoder.trunk.blocks.3.attn.qkv.weight", (1152, 192)),
    ("image_encoder.trunk.pos_embed", (1, 96, 7, 7)),
    ("image_encoder.trunk.blocks.0.norm1.weight", (96,)),
    ("image_encoder.trunk.blocks.0.norm1.bias", (96,)),
    ("sam_mask_decoder.output_upscaling.0.weight", (256, 64, 2, 2)),
    ("sam_mask_decoder.transformer.layers.1.cross_attn_token_to_image.k_proj.weight", (128, 256)),
    ("sam_mask_decoder.transformer.layers.1.cross_attn_token_to_image.q_proj.weight", (128, 256)),
    ("sam_mask_decoder.pred_obj_score_head.layers.2.bias", (1,)),
    ("sam_mask_decoder.mask_tokens.weight", (4, 256)),
    ("memory_encoder.fuser.layers.0.gamma", (256,)),
    ("memory_encoder.fuser.layers.0.dwconv.weight", (256, 1, 7, 7)),
    ("sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", (2, 128)),
    ("maskmem_tpos_enc", (7, 1, 1, 64)),
    ("no_obj_embed_spatial", (1, 64)),
    ("image_encoder.trunk.blocks.47.mlp.layers.0.weight", (4608, 1152)),
]
