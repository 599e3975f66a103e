# SPDX-License-Identifier: Apache-2.0
"""The official predictor on the CPU: built for any configuration, fed with frames in memory, watched by hooks."""
import json
import os
import struct
import sys
import warnings

import cv2
import numpy as np
import torch
from PIL import Image

import seeded

SIZES = {"tiny": "t", "small": "s", "base+": "b+", "large": "l"}
FAMILIES = ("sam2", "sam2.1")


def use_checkout(path):
    """Makes the official package importable; must precede everything else here."""
    sys.path.insert(0, os.path.abspath(path))
    warnings.filterwarnings("ignore")
    import tqdm

    class Silent:
        def __new__(cls, iterable=None, *args, **kwargs):
            return iterable

    tqdm.tqdm = Silent
    import sam2.sam2_video_predictor as predictor_module
    import sam2.utils.misc as misc

    # The CUDA extension that labels components, on the CPU: 8-connectivity, areas of the foreground components.
    def connected_components(mask):
        labels = np.zeros(mask.shape, np.int64)
        areas = np.zeros(mask.shape, np.int64)
        for n in range(mask.shape[0]):
            plane = mask[n, 0].to(torch.uint8).numpy()
            _, found, stats, _ = cv2.connectedComponentsWithStats(plane, connectivity=8)
            labels[n, 0] = found
            areas[n, 0] = np.where(found > 0, stats[found, cv2.CC_STAT_AREA], 0)
        return torch.from_numpy(labels), torch.from_numpy(areas)

    misc.get_connected_components = connected_components

    # init_state accepts (frames, image_size) in place of a path and resizes as the JPEG path does.
    def load_video_frames(video_path, image_size, **kwargs):
        images = torch.stack([normalised(f, image_size) for f in video_path])
        return images, video_path[0].shape[0], video_path[0].shape[1]

    predictor_module.load_video_frames = load_video_frames


def normalised(frame, size):
    """[3, size, size] float32 of an RGB uint8 frame, as _load_img_as_tensor and the synchronous loader do it."""
    resized = np.array(Image.fromarray(frame).resize((size, size))) / 255.0
    image = torch.empty(3, size, size, dtype=torch.float32)
    image[:] = torch.from_numpy(resized).permute(2, 0, 1)
    image -= torch.tensor((0.485, 0.456, 0.406))[:, None, None]
    image /= torch.tensor((0.229, 0.224, 0.225))[:, None, None]
    return image


def build(family, size, image_size, plain=False, correct_as_condition=False, fill_holes=True, max_prompts=-1):
    """The official builder's video predictor without weights."""
    from sam2.build_sam import build_sam2_video_predictor

    extra = [f"++model.image_size={image_size}"]
    if correct_as_condition:
        extra.append("++model.add_all_frames_to_correct_as_cond=true")
    model = build_sam2_video_predictor(f"configs/{family}/{family}_hiera_{SIZES[size]}.yaml", None, device="cpu",
                                      hydra_overrides_extra=extra, apply_postprocessing=not plain)
    if not fill_holes:
        model.fill_hole_area = 0
    model.max_cond_frames_in_attn = max_prompts
    return model


def fill_seeded(model, seed):
    """Replaces every tensor of the state dictionary by the generated one."""
    state = model.state_dict()
    with torch.no_grad():
        for name, value in state.items():
            value.copy_(torch.from_numpy(seeded.tensor(seed, name, tuple(value.shape))))
    return model


def build_seeded(family, size, image_size, seed, **kwargs):
    return fill_seeded(build(family, size, image_size, **kwargs), seed).eval()


def read_safetensors(path):
    """(tensors, metadata)"""
    from safetensors import safe_open

    with safe_open(path, "pt") as f:
        return {k: f.get_tensor(k) for k in f.keys()}, f.metadata() or {}


def build_from_file(path, plain=False, correct_as_condition=False, fill_holes=True, max_prompts=-1,
                    image_size=None):
    """The official modules at the dimensions given by the architecture metadata of a .safetensors file."""
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

    tensors, metadata = read_safetensors(path)
    arch = None
    for text in metadata.values():
        try:
            candidate = json.loads(text)
        except ValueError:
            continue
        if isinstance(candidate, dict) and "embed_dim" in candidate:
            arch = candidate
    if arch is None:
        raise SystemExit(f"{path}: no architecture in the metadata")
    side = image_size or arch["image_size"]
    dim, mem = arch["hidden_dim"], arch["mem_dim"]
    grid = side // 16

    class SmallPredictor(SAM2VideoPredictor):
        def _build_sam_heads(self):
            self.sam_prompt_embed_dim = dim
            self.sam_image_embedding_size = grid
            self.sam_prompt_encoder = PromptEncoder(embed_dim=dim, image_embedding_size=(grid, grid),
                                                    input_image_size=(side, side), mask_in_chans=16)
            two_way = TwoWayTransformer(depth=arch["decoder_depth"], embedding_dim=dim,
                                        mlp_dim=arch["decoder_mlp_dim"], num_heads=arch["decoder_heads"])
            self.sam_mask_decoder = MaskDecoder(
                num_multimask_outputs=3, transformer=two_way, transformer_dim=dim, iou_head_depth=3,
                iou_head_hidden_dim=arch["iou_head_hidden_dim"], use_high_res_features=True,
                iou_prediction_use_sigmoid=True, pred_obj_scores=True, pred_obj_scores_mlp=True,
                use_multimask_token_for_obj_ptr=True, **(self.sam_mask_decoder_extra_args or {}))
            self.obj_ptr_proj = MLP(dim, dim, dim, 3)
            self.obj_ptr_tpos_proj = torch.nn.Linear(dim, mem)

    width = arch["embed_dim"]
    trunk = Hiera(embed_dim=width, num_heads=arch["num_heads"], stages=tuple(arch["stages"]),
                  global_att_blocks=tuple(arch["global_att_blocks"]),
                  window_pos_embed_bkg_spatial_size=tuple(arch["window_pos_embed_bkg_spatial_size"]),
                  window_spec=tuple(arch["window_spec"]))

    def sine(features):
        return PositionEmbeddingSine(features, normalize=True, scale=None, temperature=10000)

    def attention(**kwargs):
        return RoPEAttention(rope_theta=10000.0, feat_sizes=[grid, grid], embedding_dim=dim, num_heads=1,
                             downsample_rate=1, dropout=0.0, **kwargs)

    neck = FpnNeck(position_encoding=sine(dim), d_model=dim, backbone_channel_list=[width * k for k in (8, 4, 2, 1)],
                   fpn_top_down_levels=arch["fpn_top_down_levels"], fpn_interp_model="nearest")
    layer = MemoryAttentionLayer(activation="relu", dim_feedforward=arch["memory_attention_ffn"], dropout=0.0,
                                 pos_enc_at_attn=False, d_model=dim, self_attention=attention(),
                                 pos_enc_at_cross_attn_keys=True, pos_enc_at_cross_attn_queries=False,
                                 cross_attention=attention(rope_k_repeat=True, kv_in_dim=mem))
    memory_encoder = MemoryEncoder(
        out_dim=mem, in_dim=dim, position_encoding=sine(mem),
        mask_downsampler=MaskDownSampler(embed_dim=dim, kernel_size=3, stride=2, padding=1),
        fuser=Fuser(CXBlock(dim=dim, kernel_size=7, padding=3, layer_scale_init_value=0.1, use_dwconv=True),
                    num_layers=2))
    stability = dict(dynamic_multimask_via_stability=True, dynamic_multimask_stability_delta=0.05,
                     dynamic_multimask_stability_thresh=0.98)
    model = SmallPredictor(
        image_encoder=ImageEncoder(trunk, neck, scalp=1),
        memory_attention=MemoryAttention(d_model=dim, pos_enc_at_input=True, layer=layer,
                                         num_layers=arch["memory_attention_layers"]),
        memory_encoder=memory_encoder, num_maskmem=arch["num_maskmem"], image_size=side, backbone_stride=16,
        sigmoid_scale_for_mem_enc=20.0, sigmoid_bias_for_mem_enc=-10.0,
        binarize_mask_from_pts_for_mem_enc=not plain, use_mask_input_as_output_without_sam=True,
        directly_add_no_mem_embed=True, use_high_res_features_in_sam=True, multimask_output_in_sam=True,
        multimask_min_pt_num=0, multimask_max_pt_num=1, multimask_output_for_tracking=True,
        use_multimask_token_for_obj_ptr=True, iou_prediction_use_sigmoid=True, use_obj_ptrs_in_encoder=True,
        add_tpos_enc_to_obj_ptrs=True, proj_tpos_enc_in_obj_ptrs=True, use_signed_tpos_enc_to_obj_ptrs=True,
        only_obj_ptrs_in_the_past_for_eval=True, pred_obj_scores=True, pred_obj_scores_mlp=True,
        fixed_no_obj_ptr=True, use_mlp_for_obj_ptr_proj=True, no_obj_embed_spatial=True,
        sam_mask_decoder_extra_args=None if plain else stability, fill_hole_area=0 if plain or not fill_holes else 8,
        add_all_frames_to_correct_as_cond=correct_as_condition, max_cond_frames_in_attn=max_prompts)
    model.load_state_dict(tensors, strict=True)
    return model.eval()


def write_safetensors(path, tensors):
    """Own writer, so that file bytes depend on nothing but the values: names sorted, no metadata."""
    header, parts, at = {}, [], 0
    for name in sorted(tensors):
        value = tensors[name].detach().contiguous()
        if value.dtype == torch.bfloat16:
            kind, raw = "BF16", value.view(torch.int16).numpy().astype("<i2").tobytes()
        else:
            kind, raw = "F32", value.float().numpy().astype("<f4").tobytes()
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [at, at + len(raw)]}
        parts.append(raw)
        at += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path + ".tmp", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(parts))
    os.replace(path + ".tmp", path)


def decode(path, dump_frames):
    """Frames of a video as RGB arrays, exactly as the project's reader delivers them (tests/tools/dump_frames)."""
    import glob
    import subprocess
    import tempfile

    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([dump_frames, path, folder], check=True)
        return [np.array(Image.open(name)) for name in sorted(glob.glob(folder + "/*.png"))]
