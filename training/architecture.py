# SPDX-License-Identifier: Apache-2.0
"""The SAM 2.1 graph at any dimensions: the official modules (package sam2), put together from a plain dictionary.

That dictionary is what a shipped file carries in its metadata under "architecture": what cannot be read off the shapes of
tensors (heads, windows, global blocks, image size) and what can.
"""
import json
import math
from pathlib import Path

import torch
from safetensors import safe_open
from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.memory_attention import MemoryAttention, MemoryAttentionLayer
from sam2.modeling.memory_encoder import CXBlock, Fuser, MaskDownSampler, MemoryEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.modeling.sam.prompt_encoder import PromptEncoder
from sam2.modeling.sam.transformer import RoPEAttention, TwoWayTransformer
from sam2.modeling.sam2_utils import MLP
from sam2.sam2_video_predictor import SAM2VideoPredictor

STRIDE = 16  # of the tokens that memory attention and the mask decoder see

# 2.5 million parameters. The image size is that of tracking; training has its own, and what it teaches holds at this one.
DEMO = {
    "family": "sam2.1", "image_size": 256,
    "embed_dim": 32, "num_heads": 1, "stages": [1, 2, 3, 1], "global_att_blocks": [4, 5], "window_spec": [8, 4, 8, 4],
    "window_pos_embed_bkg_spatial_size": [7, 7], "q_pool": 3, "fpn_top_down_levels": [2, 3],
    "hidden_dim": 96, "mem_dim": 96, "memory_attention_layers": 2, "memory_attention_ffn": 256, "num_maskmem": 7,
    "decoder_heads": 4, "decoder_mlp_dim": 256, "decoder_depth": 2, "iou_head_hidden_dim": 96,
}

STABILITY = {"dynamic_multimask_via_stability": True, "dynamic_multimask_stability_delta": 0.05,
             "dynamic_multimask_stability_thresh": 0.98}


class SmallTracker(SAM2VideoPredictor):
    """The official predictor, whose heads have fixed dimensions upstream."""

    def __init__(self, architecture: dict, **kwargs):
        self.architecture = architecture
        super().__init__(**kwargs)

    def _build_sam_heads(self):
        a, dim = self.architecture, self.hidden_dim
        grid = self.image_size // self.backbone_stride
        self.sam_prompt_embed_dim = dim
        self.sam_image_embedding_size = grid
        self.sam_prompt_encoder = PromptEncoder(embed_dim=dim, image_embedding_size=(grid, grid),
                                                input_image_size=(self.image_size, self.image_size), mask_in_chans=16)
        two_way = TwoWayTransformer(depth=a["decoder_depth"], embedding_dim=dim, mlp_dim=a["decoder_mlp_dim"],
                                    num_heads=a["decoder_heads"])
        self.sam_mask_decoder = MaskDecoder(
            num_multimask_outputs=3, transformer=two_way, transformer_dim=dim, iou_head_depth=3,
            iou_head_hidden_dim=a["iou_head_hidden_dim"], use_high_res_features=True, iou_prediction_use_sigmoid=True,
            pred_obj_scores=True, pred_obj_scores_mlp=True, use_multimask_token_for_obj_ptr=True,
            **(self.sam_mask_decoder_extra_args or {}))
        self.obj_ptr_proj = MLP(dim, dim, dim, 3)
        self.obj_ptr_tpos_proj = torch.nn.Linear(dim, self.mem_dim)

    def set_image_size(self, side: int):
        """Another side of the (square) input: positional tables follow by themselves."""
        grid = side // STRIDE
        self.image_size, self.sam_image_embedding_size = side, grid
        prompts = self.sam_prompt_encoder
        prompts.image_embedding_size, prompts.input_image_size = (grid, grid), (side, side)
        prompts.mask_input_size = (4 * grid, 4 * grid)


def sine(features: int) -> PositionEmbeddingSine:
    return PositionEmbeddingSine(features, normalize=True, scale=None, temperature=10000)


def image_encoder(a: dict) -> ImageEncoder:
    width = a["embed_dim"]
    trunk = Hiera(embed_dim=width, num_heads=a["num_heads"], stages=tuple(a["stages"]),
                  global_att_blocks=tuple(a["global_att_blocks"]), window_spec=tuple(a["window_spec"]),
                  window_pos_embed_bkg_spatial_size=tuple(a["window_pos_embed_bkg_spatial_size"]))
    neck = FpnNeck(position_encoding=sine(a["hidden_dim"]), d_model=a["hidden_dim"],
                   backbone_channel_list=[width * k for k in (8, 4, 2, 1)],
                   fpn_top_down_levels=a["fpn_top_down_levels"], fpn_interp_model="nearest")
    return ImageEncoder(trunk, neck, scalp=1)


def memory_attention(a: dict) -> MemoryAttention:
    dim, grid = a["hidden_dim"], a["image_size"] // STRIDE

    def attention(**kwargs):
        return RoPEAttention(rope_theta=10000.0, feat_sizes=[grid, grid], embedding_dim=dim, num_heads=1,
                             downsample_rate=1, dropout=0.0, **kwargs)

    layer = MemoryAttentionLayer(activation="relu", dim_feedforward=a["memory_attention_ffn"], dropout=0.0,
                                 pos_enc_at_attn=False, d_model=dim, self_attention=attention(),
                                 pos_enc_at_cross_attn_keys=True, pos_enc_at_cross_attn_queries=False,
                                 cross_attention=attention(rope_k_repeat=True, kv_in_dim=a["mem_dim"]))
    return MemoryAttention(d_model=dim, pos_enc_at_input=True, layer=layer, num_layers=a["memory_attention_layers"])


def memory_encoder(a: dict) -> MemoryEncoder:
    dim = a["hidden_dim"]
    block = CXBlock(dim=dim, kernel_size=7, padding=3, layer_scale_init_value=0.1, use_dwconv=True)
    return MemoryEncoder(out_dim=a["mem_dim"], in_dim=dim, position_encoding=sine(a["mem_dim"]),
                         mask_downsampler=MaskDownSampler(embed_dim=dim, kernel_size=3, stride=2, padding=1),
                         fuser=Fuser(block, num_layers=2))


def build(a: dict = DEMO, inference: bool = False, **overrides) -> SmallTracker:
    """inference: as the official video predictor is built (stability fall-back, memories of prompted frames from binary
    masks, holes filled); else as for training. overrides: further arguments of the official predictor."""
    settings = dict(
        num_maskmem=a["num_maskmem"], image_size=a["image_size"], backbone_stride=STRIDE,
        sigmoid_scale_for_mem_enc=20.0, sigmoid_bias_for_mem_enc=-10.0, binarize_mask_from_pts_for_mem_enc=inference,
        use_mask_input_as_output_without_sam=True, directly_add_no_mem_embed=True, use_high_res_features_in_sam=True,
        multimask_output_in_sam=True, multimask_min_pt_num=0, multimask_max_pt_num=1,
        multimask_output_for_tracking=True, use_multimask_token_for_obj_ptr=True, iou_prediction_use_sigmoid=True,
        use_obj_ptrs_in_encoder=True, add_tpos_enc_to_obj_ptrs=True, proj_tpos_enc_in_obj_ptrs=True,
        use_signed_tpos_enc_to_obj_ptrs=True, only_obj_ptrs_in_the_past_for_eval=True, pred_obj_scores=True,
        pred_obj_scores_mlp=True, fixed_no_obj_ptr=True, use_mlp_for_obj_ptr_proj=True, no_obj_embed_spatial=True,
        sam_mask_decoder_extra_args=STABILITY if inference else None, fill_hole_area=8 if inference else 0)
    settings.update(overrides)
    return SmallTracker(a, image_encoder=image_encoder(a), memory_attention=memory_attention(a),
                        memory_encoder=memory_encoder(a), **settings)


POSITION = 0.35  # of each number of a query and key of the memory attention: a place attends to the same place
PIXELS = 0.25    # of a frame's features in its memory; with all of them attention would start too sharp
POINTERS = 8.0   # times what the usual initialisation makes of them: about as long as a memory's rows


def initialize(model: SmallTracker):
    """Attention starts as a kernel of what is alike: queries and keys share their projections, in the decoder's
    cross-attentions (a prompt's token attends to its own place in the image) and in those to memories (a place attends to
    what looked like it, rather nearby). Without it a small budget goes by before the first mask appears, and objects that
    moved far are seldom found again."""
    for part in (model.sam_mask_decoder.transformer, model.memory_attention):
        for name, p in part.named_parameters():
            if p.ndim == 2:
                torch.nn.init.xavier_uniform_(p)
            elif name.endswith("bias") and "norm" not in name:
                torch.nn.init.zeros_(p)
    decoder = model.sam_mask_decoder.transformer
    for layer in decoder.layers:
        for attention in (layer.cross_attn_token_to_image, layer.cross_attn_image_to_token):
            attention.q_proj.weight.data *= 1.4
            attention.k_proj.weight.data.copy_(attention.q_proj.weight.data)
    final = decoder.final_attn_token_to_image
    final.k_proj.weight.data.copy_(final.q_proj.weight.data)
    pixels = model.memory_encoder.pix_feat_proj
    pixels.weight.data.copy_(PIXELS * torch.eye(model.hidden_dim)[:, :, None, None])
    pixels.bias.data.zero_()
    for layer in model.memory_attention.layers:
        attention = layer.cross_attn_image
        if model.mem_dim == model.hidden_dim:  # else there is no sharing them
            attention.k_proj.weight.data.copy_(attention.q_proj.weight.data)
        attention.q_proj.bias.data.fill_(POSITION)
        attention.k_proj.bias.data.fill_(POSITION)
    last = model.obj_ptr_proj.layers[-1]
    last.weight.data *= POINTERS
    last.bias.data *= POINTERS


# --- a rotary encoding without complex numbers -------------------------------------------------------------------------

def rope_tables(attention: RoPEAttention, n_tokens: int, device) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin, [n_tokens, head dim], each angle twice; kept at the module."""
    kept = getattr(attention, "_real_tables", None)
    if kept is None or kept[0].shape[0] != n_tokens or kept[0].device != device:
        side = math.isqrt(n_tokens)
        turns = attention.compute_cis(end_x=side, end_y=side)
        kept = tuple(part.repeat_interleave(2, -1).contiguous().to(device) for part in (turns.real, turns.imag))
        attention._real_tables = kept
    return kept


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turns the pairs (x[2i], x[2i + 1]) by the angles of the tables."""
    return x * cos + torch.stack((-x[..., 1::2], x[..., 0::2]), -1).flatten(-2) * sin


def queries_and_keys(self, q, k, num_k_exclude_rope=0) -> tuple[torch.Tensor, torch.Tensor]:
    """As the softmax meets them, [B, heads, n, head dim]; the last num_k_exclude_rope keys are not turned."""
    q, k = (self._separate_heads(proj(x), self.num_heads) for proj, x in ((self.q_proj, q), (self.k_proj, k)))
    n = q.shape[-2]
    cos, sin = rope_tables(self, n, q.device)
    n_turned = k.shape[-2] - num_k_exclude_rope
    turned = k[:, :, :n_turned].unflatten(2, (n_turned // n, n))
    return rotate(q, cos, sin), torch.cat((rotate(turned, cos, sin).flatten(2, 3), k[:, :, n_turned:]), 2)


def rope_attention(self, q, k, v, num_k_exclude_rope=0):
    q, k = queries_and_keys(self, q, k, num_k_exclude_rope)
    v = self._separate_heads(self.v_proj(v), self.num_heads)
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    return self.out_proj(self._recombine_heads(out))


def use_real_rope():
    """Replaces the official RoPEAttention.forward by the same mathematics in real numbers: faster to differentiate on a
    CPU (tests/test_training.py compares the two)."""
    RoPEAttention.forward = rope_attention


# --- files ------------------------------------------------------------------------------------------------------------

def of_file(path: str | Path) -> dict:
    """The architecture of a .safetensors file, or of a state of train.py."""
    if Path(path).suffix != ".safetensors":
        return torch.load(path, map_location="cpu", weights_only=True)["architecture"]
    with safe_open(path, "pt") as f:
        metadata = f.metadata() or {}
    if "architecture" not in metadata:
        raise SystemExit(f"{path}: expected an architecture in the metadata, found {sorted(metadata)}")
    return json.loads(metadata["architecture"])


def load(path: str, **overrides) -> SmallTracker:
    """The tracker of a .safetensors file, for inference."""
    model = build(of_file(path), inference=True, **overrides)
    with safe_open(path, "pt") as f:
        model.load_state_dict({name: f.get_tensor(name).float() for name in f.keys()}, strict=True)
    return model.eval()


def load_averaged(path: str) -> SmallTracker:
    """The tracker of a state of train.py with its averaged weights, or of a .safetensors file; for inference."""
    if Path(path).suffix == ".safetensors":
        return load(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = build(state["architecture"], inference=True)
    model.load_state_dict(state["average"])
    return model.eval()
