# SPDX-License-Identifier: Apache-2.0
"""Generated weights, bit for bit those of tests/golden/seeded_weights.c, so that goldens store outputs only.

Element i of a tensor is a uniform number u(i) in [-1, 1) from a counter-based hash of (seed, tensor name, i), times a
scale that depends on the tensor's role and shape, plus an offset. Every product and sum is exact in double (24-bit
mantissas times integers below 2^28, over powers of two), so the one rounding is the final one to float32.
"""
import math

import numpy as np

GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1

# Role of a tensor: the first rule whose pattern is part of ".name." wins (dims restricts to tensors of so many
# dimensions, 0 = any). Scale: amplitude / 256, times sqrt(3 / fan_in) for "fan" rules; a deconvolution's fan-in is its
# first dimension. offset / 256 is added. shared > 0: u(i) gets a companion, (shared / 16) * u'(i // kernel area), equal
# for all positions of a kernel: deconvolutions that mostly repeat pixels give blobs instead of chequers.
# (pattern, dims, fan, amplitude, offset, shared)
RULES = [
    (".pred_obj_score_head.layers.2.bias.", 0, 0, 0, -512, 0),
    (".pred_obj_score_head.layers.2.weight.", 0, 1, 1024, 0, 0),
    (".iou_prediction_head.layers.2.bias.", 0, 0, 256, 0, 0),
    (".iou_prediction_head.layers.2.weight.", 0, 1, 512, 0, 0),
    (".output_hypernetworks_mlps.", 2, 1, 448, 0, 0),
    (".output_upscaling.0.weight.", 4, 2, 24, 0, 160),
    (".output_upscaling.3.weight.", 4, 2, 24, 0, 160),
    (".conv_s0.weight.", 0, 1, 64, 0, 0),
    (".conv_s1.weight.", 0, 1, 64, 0, 0),
    (".gamma.", 0, 0, 32, 128, 0),
    (".positional_encoding_gaussian_matrix.", 0, 0, 444, 0, 0),
    (".pos_embed_window.", 0, 0, 16, 0, 0),
    (".pos_embed.", 0, 0, 64, 0, 0),
    (".mask_downsampler.encoder.12.weight.", 0, 1, 80, 0, 0),
    (".maskmem_tpos_enc.", 0, 0, 128, 0, 0),
    (".no_", 0, 0, 128, 0, 0),
    (".mask_downsample.weight.", 0, 1, 1024, 0, 0),
    ("_token.weight.", 0, 0, 256, 0, 0),
    (".mask_tokens.weight.", 0, 0, 256, 0, 0),
    ("_embed.weight.", 0, 0, 256, 0, 0),
    (".point_embeddings.", 0, 0, 256, 0, 0),
    (".attn.qkv.weight.", 0, 1, 320, 0, 0),
    (".attn.proj.weight.", 0, 1, 128, 0, 0),
    (".mlp.layers.1.weight.", 0, 1, 128, 0, 0),
    ("_attn_token_to_image.out_proj.weight.", 0, 1, 768, 0, 0),
    (".memory_encoder.out_proj.weight.", 0, 1, 128, 0, 0),
    (".cross_attn_image.q_proj.weight.", 0, 1, 320, 0, 0),
    (".cross_attn_image.k_proj.weight.", 0, 1, 320, 0, 0),
    (".cross_attn_image.out_proj.weight.", 0, 1, 768, 0, 0),
    (".q_proj.weight.", 0, 1, 384, 0, 0),
    (".k_proj.weight.", 0, 1, 384, 0, 0),
    (".linear2.weight.", 0, 1, 192, 0, 0),
    (".weight.", 1, 0, 32, 256, 0),
    (".bias.", 0, 0, 16, 0, 0),
    ("", 0, 1, 256, 0, 0),
]

# A tensor under the first name is generated as if it had the second: attention then starts as a kernel of similarity,
# so that prompts select what lies under them.
ALIASES = [(".cross_attn_token_to_image.k_proj.", ".cross_attn_token_to_image.q_proj."),
           (".final_attn_token_to_image.k_proj.", ".final_attn_token_to_image.q_proj.")]


def fnv1a(data, state=0xCBF29CE484222325):
    for byte in data:
        state = ((state ^ byte) * 0x100000001B3) & MASK
    return state


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def mix_array(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(key, first, count):
    """count values of [-1, 1) in steps of 2^-23, as doubles."""
    i = np.arange(first + 1, first + count + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = mix_array(np.uint64(key) + i * np.uint64(GOLDEN))
    return ((z >> np.uint64(40)).astype(np.int64) - (1 << 23)).astype(np.float64) * 2.0**-23


def rule_of(name, shape):
    dotted = "." + name + "."
    for rule in RULES:
        if rule[0] in dotted and (rule[1] == 0 or rule[1] == len(shape)):
            return rule
    raise AssertionError(name)


def tensor(seed, name, shape):
    """float32 array of this shape, the stream's tensor of this official name."""
    _, _, fan, amplitude, offset, shared = rule_of(name, shape)
    source = "." + name
    for alias, target in ALIASES:
        source = source.replace(alias, target)
    key = fnv1a(source.encode()) ^ mix((seed * GOLDEN) & MASK)
    n = int(np.prod(shape, dtype=np.int64))
    scale = amplitude * 2.0**-8
    if fan:
        fan_in = shape[0] if fan == 2 else int(np.prod(shape[1:], dtype=np.int64))
        scale = amplitude * math.isqrt((3 << 32) // fan_in) * 2.0**-24
    out = np.empty(n, np.float32)
    step = 1 << 20
    area = shape[2] * shape[3] if shared else 1
    for first in range(0, n, step):
        count = min(step, n - first)
        value = uniform(key, first, count)
        if shared:
            low = first // area
            base = uniform(mix(key), low, (first + count - 1) // area - low + 1)
            index = np.arange(first, first + count) // area - low
            value = value + (shared * 2.0**-4) * base[index]
        out[first : first + count] = (value * scale + offset * 2.0**-8).astype(np.float32)
    return out.reshape(shape)


def hash_floats(array):
    """FNV-1a 64 over the little-endian bytes, the first 4096 elements and then every 997th."""
    flat = np.ascontiguousarray(array, dtype="<f4").reshape(-1)
    picked = np.concatenate([flat[:4096], flat[4096::997]])
    return fnv1a(picked.tobytes())
