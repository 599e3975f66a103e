# SPDX-License-Identifier: Apache-2.0
"""Runs the official code and stores what it computes under tests/golden/data; README.md has the commands."""
import argparse
import json
import math
import os

import numpy as np
import torch

import cases
import frames as seeded_frames
import official
import samurai
import seeded

KEEP_WHOLE = 512  # largest image size of which stage goldens keep whole memories and the refined logits
SAMPLES = 1024  # stored elements of a tensor that is not stored whole


def sampled(value):
    """(kept elements, description): every k-th element of a [rows, cols] matrix in row-major order. k is coprime to the
    number of columns, so that all channels occur. The description is [rows, cols, k, mean, largest magnitude]."""
    flat = value.reshape(-1).double()
    rows, cols = value.shape
    k = max(1, flat.numel() // SAMPLES)
    while math.gcd(k, cols) != 1:
        k += 1
    return value.reshape(-1)[::k].clone(), torch.tensor([rows, cols, k, flat.mean(), flat.abs().max()],
                                                        dtype=torch.float32)


class Recorder:
    """Collects matrices under the runtime's trace names: images channel-last, one row per pixel."""

    def __init__(self):
        self.tensors = {}
        self.prefix = None

    def put(self, name, matrix):
        if self.prefix is None:
            return
        kept, about = sampled(matrix.float())
        key = f"{self.prefix}.{name}"
        if key in self.tensors:
            raise AssertionError(f"{key} twice")
        self.tensors[key], self.tensors[key + "#"] = kept, about

    def image(self, name, value):
        """[1, c, h, w] -> [h w, c]"""
        self.put(name, value[0].permute(1, 2, 0).reshape(-1, value.shape[1]))


def watch(model, recorder):
    """Hooks that record every stage of the official model."""
    def after(module, function):
        module.register_forward_hook(lambda m, args, kwargs, out: function(args, kwargs, out), with_kwargs=True)

    def trunk(args, kwargs, out):
        recorder.image("input", args[0])
        for i, level in enumerate(out):
            recorder.image(f"trunk.stage{i}", level)

    def prompt(args, kwargs, out):
        recorder.put("prompt.sparse", out[0][0])
        recorder.image("prompt.dense", out[1])

    def layer(i):
        def record(args, kwargs, out):
            recorder.put(f"memory_attention.layer{i}", out[0])
        return record

    after(model.image_encoder.trunk, trunk)
    after(model.sam_prompt_encoder, prompt)
    for i, module in enumerate(model.memory_attention.layers):
        after(module, layer(i))
    after(model.memory_attention, lambda args, kwargs, out: recorder.put("memory_attention.out", out[:, 0]))

    forward_image, heads, encode = model.forward_image, model._forward_sam_heads, model._encode_new_memory
    predict = model.sam_mask_decoder.predict_masks

    def forward_image_recorded(image):
        out = forward_image(image)
        for i, level in enumerate(out["backbone_fpn"]):
            recorder.image(f"fpn.{i}", level)
        return out

    def predict_recorded(**kwargs):
        masks, ious, tokens, score = predict(**kwargs)
        recorder.put("decoder.masks", masks[0].flatten(1))
        recorder.put("decoder.ious", ious)
        recorder.put("decoder.score", score)
        recorder.put("decoder.tokens", tokens[0])
        return masks, ious, tokens, score

    def heads_recorded(**kwargs):
        out = heads(**kwargs)
        recorder.put("head.lowres", out[3][0, 0])
        recorder.put("head.pointer", out[5])
        return out

    def encode_recorded(**kwargs):
        out = encode(**kwargs)
        recorder.image("memory_encoder.out", out[0])
        if model.image_size <= KEEP_WHOLE and recorder.prefix is not None:
            memory = out[0][0].to(torch.bfloat16).flatten(1).T.contiguous()
            recorder.tensors[f"{recorder.prefix}.memory"] = memory
        return out

    # instance attributes: the modules' own methods stay
    model.__dict__.update(forward_image=forward_image_recorded, _forward_sam_heads=heads_recorded,
                          _encode_new_memory=encode_recorded)
    model.sam_mask_decoder.__dict__["predict_masks"] = predict_recorded


def stages(model, out_path):
    """Every stage of these steps on three frames: a box on frame 0 ("box"), two more clicks on its result ("refine"),
    a mask prompt ("mask"), the memory of the refined result ("refined"), and tracking frames 1 ("track1") and 2
    ("track2") from it. Frame 2 attends to a conditioning memory, a recent one and two pointers. Small models:
    "step.memory" are the memories as they are stored and "refined.logits" what the first is made of, so that others can
    start from the same: a difference of 1e-6 is enough to round an element to the other of two bf16 neighbours, or to
    turn a pixel of the binarised mask."""
    recorder = Recorder()
    watch(model, recorder)
    clip = [seeded_frames.frame(cases.FRAME_SEED, t) for t in range(16)]
    state = model.init_state(clip[:1])
    state["images"] = torch.stack([official.normalised(f, model.image_size) for f in clip[:3]])
    state["num_frames"] = 16
    state["cached_features"] = {}
    x, y, w, h = cases.BOX
    recorder.prefix = "box"
    model.add_new_points_or_box(state, 0, 1, box=[x, y, x + w, y + h])
    recorder.prefix = "refine"
    clicks = dict(points=[p[:2] for p in cases.REFINE], labels=[p[2] for p in cases.REFINE], clear_old_points=False)
    model.add_new_points_or_box(state, 0, 1, **clicks)
    recorder.prefix = "mask"
    model.add_new_mask(state, 0, 2, seeded_frames.object_mask(cases.MASK_SHAPE, 0))
    model.reset_state(state)
    recorder.prefix = None
    model.add_new_points_or_box(state, 0, 1, box=[x, y, x + w, y + h])
    model.add_new_points_or_box(state, 0, 1, **clicks)
    if model.image_size <= KEEP_WHOLE:
        refined = state["temp_output_dict_per_obj"][0]["cond_frame_outputs"][0]["pred_masks"][0, 0]
        recorder.tensors["refined.logits"] = refined.clone()
    recorder.prefix = "refined"
    for t, _, _ in model.propagate_in_video(state, max_frame_num_to_track=2):
        recorder.prefix = f"track{t + 1}"
    official.write_safetensors(out_path, recorder.tensors)
    score = [round(float(recorder.tensors[f"{s}.decoder.score"][0]), 2) for s in ("box", "refine", "mask", "track1",
                                                                                  "track2")]
    print(f"{out_path}: {os.path.getsize(out_path) >> 10} KiB, object scores {score}")


# --- tracking -----------------------------------------------------------------------------------------------------


class HeadWatch:
    """What a run of the head chose and whether the choice is clear, which the predictor does not keep."""

    def __init__(self, model):
        self.last = None
        decoder = model.sam_mask_decoder
        predict, heads, mask_path = decoder.predict_masks, model._forward_sam_heads, model._use_mask_as_output

        def predict_watched(**kwargs):
            self.raw = predict(**kwargs)
            return self.raw

        def heads_watched(**kwargs):
            out = heads(**kwargs)
            masks, ious, _, score = self.raw
            rest = ious[0, 1:]
            best = int(torch.argmax(rest)) + 1
            if kwargs.get("multimask_output", False):
                choice = best
            else:
                stable = True
                if decoder.dynamic_multimask_via_stability:
                    stable = bool(decoder._get_stability_scores(masks[:, :1])[0, 0]
                                  >= decoder.dynamic_multimask_stability_thresh)
                choice = 0 if stable else best
            ordered = torch.sort(rest)[0]
            self.last = (float(ious[0, choice]), choice, float(ordered[-1] - ordered[-2]))
            return out

        def mask_watched(*args, **kwargs):
            out = mask_path(*args, **kwargs)
            self.last = (1.0, 0, 1.0)
            return out

        decoder.__dict__["predict_masks"] = predict_watched
        model.__dict__["_forward_sam_heads"] = heads_watched
        model.__dict__["_use_mask_as_output"] = mask_watched


def run_case(model, case, clip, keep=None):
    """Plays a case's calls on the predictor. keep(frame, object, output, choice) sees every result in order."""
    watch_head = HeadWatch(model)
    state = model.init_state(clip)
    state["num_frames"] = max(16, len(clip))
    chosen = {}
    run = model._run_single_frame_inference

    def run_watched(**kwargs):
        out = run(**kwargs)
        chosen[id(kwargs["output_dict"]), kwargs["frame_idx"]] = watch_head.last
        return out

    model.__dict__["_run_single_frame_inference"] = run_watched

    def show(frame, only=None, final=True):
        for object_id, index in state["obj_id_to_idx"].items():
            if only is not None and object_id != only:
                continue
            stores = state["output_dict_per_obj"][index], state["temp_output_dict_per_obj"][index]
            outputs = [s[k][frame] for s in (stores if final else stores[::-1])
                       for k in ("cond_frame_outputs", "non_cond_frame_outputs") if frame in s[k]]
            if outputs:
                keep(frame, object_id, outputs[0], chosen[id(stores[0]), frame])

    for call in case["calls"]:
        if call["call"] == "propagate":
            steps = abs(call["last"] - call["first"])
            for t, _, _ in model.propagate_in_video(state, start_frame_idx=call["first"], max_frame_num_to_track=steps,
                                                    reverse=call["last"] < call["first"]):
                show(t)
        elif call["call"] in ("box", "points"):
            x, y, w, h = call.get("box", [0, 0, 0, 0])
            points = call.get("points")
            model.add_new_points_or_box(state, call["frame"], call["object"],
                                        box=[x, y, x + w, y + h] if "box" in call else None,
                                        points=points and [p[:2] for p in points],
                                        labels=points and [p[2] for p in points],
                                        clear_old_points="box" in call)  # upstream wants them cleared before a box
        else:
            model.add_new_mask(state, call["frame"], call["object"],
                               seeded_frames.object_mask(call["shape"], call["frame"]))
        if call.get("record"):
            show(call["frame"], call["object"], final=False)
    for name in ("_run_single_frame_inference", "_forward_sam_heads", "_use_mask_as_output"):
        del model.__dict__[name]
    del model.sam_mask_decoder.__dict__["predict_masks"]


def tracking(build, name, case, folder, with_memory=True):
    """One case: <name>-<case>.safetensors and .json. Tensors per result n (in order): logits, pointer, memory (bf16; of
    results whose memory exists by then), and "scalars" [results, 5]: frame, object score, iou, choice, and
    by how much the best of hypotheses 1..3 leads in iou."""
    torch.manual_seed(0)
    model = build(**case.get("options", {}))
    count = max([16] + [max(c["first"], c["last"]) + 1 for c in case["calls"] if c["call"] == "propagate"])
    clip = [seeded_frames.frame(cases.FRAME_SEED, t, case.get("blank", False)) for t in range(count)]
    tensors, scalars, results, gaps = {}, [], [], []

    def keep(frame, object_id, out, choice):
        n = len(results)
        logits = out["pred_masks"][0, 0]
        tensors[f"{n}.logits"] = logits.clone()
        tensors[f"{n}.pointer"] = out["obj_ptr"].clone()
        if with_memory and out["maskmem_features"] is not None:
            memory = out["maskmem_features"][0]
            tensors[f"{n}.memory"] = memory.flatten(1).T.contiguous()
        score = float(out["object_score_logits"])
        scalars.append([frame, score, *choice])
        results.append({"frame": frame, "object": object_id})
        gaps.append(choice[2])

    run_case(model, case, clip, keep)
    tensors["scalars"] = torch.tensor(scalars)
    stem = os.path.join(folder, f"{name}-{case['name']}")
    official.write_safetensors(stem + ".safetensors", tensors)
    about = {k: v for k, v in case.items() if k != "name"}
    about["frame_seed"] = cases.FRAME_SEED
    about["results"] = results
    with open(stem + ".json", "w") as f:
        f.write(compact_json(about))
    areas = [round(float((tensors[f"{n}.logits"] > 0).float().mean()), 2) for n in range(len(results))]
    print(f"{stem}: {os.path.getsize(stem + '.safetensors') >> 10} KiB, iou gap {min(gaps):.5f}, choices "
          f"{''.join(str(int(s[3])) for s in scalars)}, area {areas}, scores {[round(s[1], 1) for s in scalars]}")
    if case.get("stable", True):
        free_running(model, case, clip, [tensors[f"{n}.logits"] for n in range(len(results))])


def free_running(model, case, clip, reference):
    """IoU of thresholded masks when the input changes by a few units of rounding: what any two correct implementations
    may differ by. Printed, so that a chaotic case is noticed when goldens are made."""
    scores = []
    encode = model.forward_image
    generator = torch.Generator().manual_seed(1)
    model.__dict__["forward_image"] = lambda image: encode(
        image * (1 + 1e-5 * torch.randn(image.shape, generator=generator)))

    def keep(frame, object_id, out, choice):
        a, b = out["pred_masks"][0, 0] > 0, reference[len(scores)] > 0
        union = int((a | b).sum())
        scores.append(int((a & b).sum()) / union if union else 1.0)

    run_case(model, case, clip, keep)
    model.__dict__["forward_image"] = encode
    print(f"    masks after noise of 1e-5 on the input: lowest IoU {min(scores):.5f}")


def compact_json(about):
    """One line per call and result: readable, and small in a diff."""
    lines = []
    for key, value in about.items():
        if isinstance(value, list):
            inner = ",\n  ".join(json.dumps(v) for v in value)
            lines.append(f'"{key}": [\n  {inner}\n ]')
        else:
            lines.append(f'"{key}": {json.dumps(value)}')
    return "{\n " + ",\n ".join(lines) + "\n}\n"


# --- quality ------------------------------------------------------------------------------------------------------


def quality(checkpoint, clips, dump_frames, out_path):
    """J per frame of the demo model on the clips with ground truth, prompted by their manifest's boxes."""
    import cv2

    with open(os.path.join(clips, "manifest.json")) as f:
        manifest = json.load(f)
    model = official.build_from_file(checkpoint)
    rows = []
    for entry in manifest["clips"]:
        if not isinstance(entry["truth"], str):
            continue  # run lengths: the long one
        clip = official.decode(os.path.join(clips, entry["video"]), dump_frames)
        # palette PNGs: indices are object ids
        from PIL import Image
        truth = [np.array(Image.open(os.path.join(clips, entry["truth"], f"{t:05d}.png"))) for t in range(len(clip))]
        state = model.init_state(clip)
        for o in entry["objects"]:
            x, y, w, h = o["box"]
            model.add_new_points_or_box(state, o["frame"], o["id"], box=[x, y, x + w, y + h])
        found = {o["id"]: [] for o in entry["objects"]}
        for t, ids, logits in model.propagate_in_video(state):
            for object_id in sorted(ids):
                a = (logits[ids.index(object_id), 0] > 0).numpy()
                b = truth[t] == object_id
                union = int((a | b).sum())
                found[object_id].append(int((a & b).sum()) / union if union else 1.0)
        for object_id, js in found.items():
            rows.append({"clip": entry["video"], "object": object_id, "mean": round(float(np.mean(js)), 6),
                         "frames": [round(j, 4) for j in js]})
            print(entry["video"], object_id, rows[-1]["mean"])
    with open(out_path, "w") as f:
        f.write(compact_json({"checkpoint": os.path.basename(checkpoint), "tracks": rows}))


# --- check of the streams -------------------------------------------------------------------------------------------


def stream_hashes():
    """Lines that tests/golden/test_streams.c recomputes."""
    lines = []
    for name, shape in cases.HASHED_TENSORS:
        value = seeded.hash_floats(seeded.tensor(7, name, shape))
        lines.append(f"tensor 7 {name} {'x'.join(map(str, shape))} {value:016x}")
    for t, blank in ((0, 0), (5, 0), (5, 1), (13, 0)):
        lines.append(f"frame {cases.FRAME_SEED} {t} {blank} "
                     f"{seeded.fnv1a(seeded_frames.frame(cases.FRAME_SEED, t, bool(blank)).tobytes()):016x}")
    for k, t in ((0, 0), (1, 3), (2, 9)):
        lines.append(f"mask {k} {t} {seeded.fnv1a(seeded_frames.object_mask(k, t).tobytes()):016x}")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["streams", "check-streams", "stages", "tracking", "quality", "samurai"])
    parser.add_argument("--sam2", help="checkout of the official repository (stages, tracking, quality)")
    parser.add_argument("--samurai", help="checkout of the published SAMURAI code (samurai)")
    parser.add_argument("--only", default="", help="stages, tracking, samurai: names that contain this")
    parser.add_argument("--case", default="", help="tracking, samurai: one case")
    parser.add_argument("--demo", default="samples/models/demo-m.safetensors")
    parser.add_argument("--clips", default="samples/clips")
    parser.add_argument("--dump-frames", default="build/tests/tools/dump_frames", help="quality: the built program")
    parser.add_argument("--out", default=os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                                      "../../tests/golden/data"))
    args = parser.parse_args()
    folder = os.path.normpath(args.out)
    os.makedirs(folder, exist_ok=True)
    hashes = os.path.join(folder, "streams.txt")
    if args.what == "streams":
        with open(hashes, "w") as f:
            f.write(stream_hashes())
        return
    if args.what == "check-streams":
        with open(hashes) as f:
            if f.read() != stream_hashes():
                raise SystemExit(f"{hashes} does not match the streams")
        print("streams match")
        return
    if args.what == "samurai":
        samurai.make(args, folder, compact_json)
        return
    official.use_checkout(args.sam2)
    with torch.inference_mode():
        if args.what == "quality":
            quality(args.demo, args.clips, args.dump_frames, os.path.join(folder, "quality.json"))
            return
        for model in cases.STAGE_MODELS if args.what == "stages" else cases.TRACKING_MODELS:
            if args.only and args.only not in model["name"]:
                continue

            def build(**kwargs):
                if model["family"] is None:
                    return official.build_from_file(args.demo, **kwargs)
                return official.build_seeded(model["family"], model["size"], model["image_size"], model["seed"],
                                             **kwargs)

            if args.what == "stages":
                stages(build(), os.path.join(folder, f"stages-{model['name']}.safetensors"))
                continue
            for name in model["cases"]:
                if not args.case or args.case == name:
                    case = dict(cases.CASES[name])
                    case["options"] = {**model["options"], **case.get("options", {})}
                    tracking(build, f"track-{model['name']}", case, folder, name in model["memory"])


if __name__ == "__main__":
    main()
