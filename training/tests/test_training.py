# SPDX-License-Identifier: Apache-2.0
"""Everything of training/ but the generator: `python -m pytest training/tests`."""
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from sam2.modeling.sam.transformer import RoPEAttention

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE))

import architecture
import clips
import curriculum
import evaluate
import generator
import losses
import make_samples
import official_loop
import optimizer
import pointers
import products
import train
from curriculum import (CURRICULA, EVENTS, FROM_NOTHING, ONWARD, SMOKE, Batches, Stage, chunk_of, first_with_memories,
                        in_order, is_seam, n_steps, next_seam, stage_at)
from following import Following
from rollout import STRAYED, Rollout, Weights, normalized, watch_decoder


def test_real_rope_is_the_official_one():
    official = RoPEAttention.forward
    if official is architecture.rope_attention:
        pytest.skip("replaced already")
    torch.manual_seed(1)
    attention = RoPEAttention(rope_theta=10000.0, feat_sizes=[4, 4], rope_k_repeat=True, embedding_dim=32, num_heads=2,
                              downsample_rate=1, dropout=0.0, kv_in_dim=8).eval()
    q, k = torch.randn(1, 16, 32), torch.randn(1, 16 * 3 + 5, 8)
    want = official(attention, q, k, k, num_k_exclude_rope=5)
    got = architecture.rope_attention(attention, q, k, k, num_k_exclude_rope=5)
    assert torch.allclose(got, want, atol=1e-6)
    assert not torch.allclose(got, official(attention, q, k.flip(1), k, num_k_exclude_rope=5), atol=1e-3)


def gradients(f, inputs) -> list[torch.Tensor]:
    """Of the sum of f's output, weighed at random; the output first."""
    inputs = [x.detach().requires_grad_() for x in inputs]
    out = f(*inputs)
    out.backward(torch.randn(out.shape, generator=torch.Generator().manual_seed(2)))
    return [out.detach()] + [x.grad for x in inputs]


def bf16_linear(n_batch):
    rows = torch.randn(n_batch, 5, 7, 24).transpose(1, 2)  # not contiguous, as after a permute
    return products.Linear.apply, torch.nn.functional.linear, (rows, torch.randn(40, 24), torch.randn(40))


def bf16_attention(n_keys):
    shapes = ((2, 3, 9, 16), (2, 3, n_keys, 16), (2, 3, n_keys, 12))
    return (products.Attention.apply, torch.nn.functional.scaled_dot_product_attention,
            [2 * torch.randn(shape) for shape in shapes])


@pytest.mark.parametrize("make,n", ((bf16_linear, 1), (bf16_linear, 4), (bf16_attention, 1), (bf16_attention, 33)))
def test_products_in_bf16(make, n):
    """Within the rounding of their factors, 2^-9 each: output and every gradient, by the largest number of each."""
    torch.manual_seed(1)
    ours, f32, inputs = make(n)
    got, want = gradients(ours, inputs), gradients(f32, inputs)
    assert not torch.equal(got[0], want[0])
    for mine, exact in zip(got, want, strict=True):
        assert mine.dtype == torch.float32 and mine.shape == exact.shape
        assert float((mine - exact).abs().max()) <= 0.02 * max(float(exact.abs().max()), 0.5)


def test_mask_losses():
    truth = torch.zeros(1, 8, 8)
    truth[:, :, :4] = 1
    sure = (truth * 2 - 1)[:, None] * 20
    focal, dice, overlap = losses.mask_losses(torch.cat((sure, -sure), 1), truth, alpha=0.25, bce=0.0)
    assert focal[0, 0] < 1e-6 and dice[0, 0] < 1e-3 and overlap[0, 0] == 1
    assert focal[0, 1] > 5 and dice[0, 1] > 0.95 and overlap[0, 1] == 0
    with_bce, _, _ = losses.mask_losses(-sure, truth, alpha=0.25, bce=4.0)
    assert with_bce[0, 0] == pytest.approx(float(focal[0, 1]) + 4.0 / losses.FOCAL_WEIGHT * 20, rel=1e-4)


def test_iou_of_two_empty_masks_is_one():
    empty = torch.zeros(2, 3, 3, dtype=torch.bool)
    full = ~empty
    assert losses.iou(empty, empty).tolist() == [1, 1] and losses.iou(empty, full).tolist() == [0, 0]


def test_orthogonalize():
    torch.manual_seed(0)
    for shape in ((6, 40), (40, 6)):
        values = torch.linalg.svdvals(optimizer.orthogonalize(torch.randn(shape)))
        assert 0.6 < values.min() and values.max() < 1.3


def test_what_muon_takes():
    model = architecture.build()
    taken = {n for n, p in model.named_parameters() if optimizer.is_matrix(n, p)}
    assert "sam_mask_decoder.transformer.layers.0.cross_attn_token_to_image.q_proj.weight" in taken
    assert "image_encoder.trunk.patch_embed.proj.weight" in taken
    for name in ("image_encoder.trunk.pos_embed", "maskmem_tpos_enc", "no_mem_embed", "sam_mask_decoder.iou_token.weight",
                 "sam_mask_decoder.mask_tokens.weight", "sam_prompt_encoder.point_embeddings.0.weight"):
        assert name in dict(model.named_parameters()) and name not in taken


def test_processes_share_what_muon_does(monkeypatch):
    monkeypatch.setattr(optimizer.dist, "all_reduce", lambda flat: None)  # each keeps its own part, zeros elsewhere
    generator = torch.Generator().manual_seed(2)
    shapes = ((8, 30), (16, 16), (9, 9, 3, 3), (40, 12))
    gradients = [torch.randn(shape, generator=generator) for shape in shapes]

    def updates(rank, processes):
        named = [(f"w{i}", torch.nn.Parameter(torch.zeros(shape))) for i, shape in enumerate((*shapes, (5,)))]
        muon = optimizer.Muon(named, 0.0, rank, processes)
        for p, gradient in zip(muon.matrices, gradients, strict=True):
            p.grad = gradient.clone()
        return muon.updates()

    assert sorted(optimizer.even_shares([5, 9, 4, 1], 2)) == [0, 0, 1, 1]
    for whole, a, b in zip(updates(0, 1), updates(0, 2), updates(1, 2), strict=True):
        assert torch.equal(whole, a + b) and min(a.abs().max(), b.abs().max()) == 0 < whole.abs().max()


def test_what_a_step_does_not_use_stays_as_it_is():
    """Single images have no memories: a hundred of them moved the memory attention far off by momentum alone."""
    torch.manual_seed(0)
    named = [(name, torch.nn.Parameter(torch.randn(shape))) for name, shape in
             (("a", (16, 24)), ("b", (16, 24)), ("c", (5,)), ("d", (5,)))]
    muon, (a, b, c, d) = optimizer.Muon(named, 0.05), (p for _, p in named)
    one = SimpleNamespace(parameters=[a, b, c, d], asked_to_stop=False, args=SimpleNamespace(processes=1, clip=1.0))

    def step(loss):
        before = [p.detach().clone() for p in one.parameters]
        muon.zero_grad()
        loss.backward()
        train.Trainer.share_gradients(one)
        muon.step(1e-3)
        return [not torch.equal(old, p) for old, p in zip(before, one.parameters)]

    assert step((a * b).sum() + (c * d).sum()) == [True] * 4
    assert step(a.square().sum() + c.square().sum() + 0 * b.sum()) == [True, False, True, False]


def test_clips_of_events():
    with_events = Batches([replace(SMOKE[1], frames=6, clips=12, events=1.0, difficulty=(1.0, 1.0))], 3, 0, 8).batch(0)
    assert (with_events.masks.sum((3, 4)) == 0).any(2).any(1).mean() >= 0.4  # half of the events hide the first object


def test_half_of_the_clips_are_drawn_at_another_size(monkeypatch):
    """And resized: images as for tracking, masks by the nearest pixel, which three times the size repeats."""
    drawn, as_made = [], curriculum.resized

    def resized(clip, side):
        drawn.append(clip)
        return as_made(clip, side)

    monkeypatch.setattr(curriculum, "resized", resized)
    batch = Batches([Stage("clips", 1, 96, 3, 24, 2, (0.5, 1.0), drawn=32)], 3, 0, 8).batch(0)
    assert batch.images.shape == (24, 3, 96, 96, 3) and batch.masks.shape == (24, 2, 3, 96, 96)
    small = [i for i, clip in enumerate(drawn) if clip.ids.shape[-1] == 32]
    assert 6 <= len(small) <= 18 and all(clip.ids.shape[-1] in (32, 96) for clip in drawn)
    for i in small:
        for mine, clip in ((batch.masks[i], drawn[i].masks), (batch.ids[i], drawn[i].ids)):
            assert mine.any() and np.array_equal(mine, clip.repeat(3, -1).repeat(3, -2))
        official = official_loop.normalized(drawn[i].images[1], 96)
        assert torch.allclose(normalized(torch.from_numpy(batch.images[i][1:2]))[0], official, atol=1e-5)


@pytest.mark.parametrize("stages", (FROM_NOTHING, ONWARD))
def test_long_clips_are_half_of_the_work(stages):
    work = [(s.frames, s.steps * s.frames * s.clips * s.size ** 2) for s in stages]
    assert sum(w for frames, w in work if frames >= 8) >= 0.5 * sum(w for _, w in work)


def test_batches_depend_on_seed_rank_and_step_alone():
    assert [stage_at(SMOKE, i)[0].name for i in range(n_steps(SMOKE))] == ["images"] * 4 + ["clips"] * 4 + ["follow"] * 4
    first, again = Batches(SMOKE, 3, 0, 8), Batches(SMOKE, 3, 0, 8)
    first.batch(0)
    for step in (5, 1):
        a, b, other = first.batch(step), again.batch(step), Batches(SMOKE, 3, 1, 8).batch(step)
        assert a.images.tobytes() == b.images.tobytes() and a.prompt == b.prompt
        assert a.images.tobytes() != other.images.tobytes()


def test_batches_made_by_workers_are_the_same_in_the_same_order():
    here, there = (list(in_order(Batches(SMOKE, 3, 0, 8), range(3, 7), workers)) for workers in (0, 2))
    assert len(here) == len(there) == 4 and here[0].images.shape != here[1].images.shape  # two stages
    for a, b in zip(here, there):
        assert a.images.tobytes() == b.images.tobytes() and a.masks.tobytes() == b.masks.tobytes()
        assert a.prompt == b.prompt and np.array_equal(a.draws, b.draws)


def test_pointers_get_their_share_of_attention():
    torch.manual_seed(4)
    model = architecture.build().eval()
    architecture.initialize(model)
    watch_decoder(model)
    model.set_image_size(64)
    assert first_with_memories(SMOKE) == 4
    batch = Batches(SMOKE, 3, 0, 8).batch(4)

    def follow():
        return Rollout(model, losses.Affinity.of(architecture.DEMO), batch, Weights(0.25, 0.0, 0.0), 0.0).run()

    model.memory_encoder.pix_feat_proj.weight.data *= 4  # memories that win by more
    wanted, forward = np.log(1 / pointers.SHARE - 1), RoPEAttention.forward
    before, after = pointers.wake(model, follow), pointers.wake(model, follow)
    assert min(before) > wanted + 1 and after == pytest.approx([wanted] * 2, abs=0.1)
    assert RoPEAttention.forward is forward


def test_silent_frames_have_no_losses_and_no_gradients_but_fill_the_memory():
    stage = Stage("clip", 1, 64, 4, 1, 2, (0.0, 0.0), (1.0, 1.0), silent=2)
    batch = next(b for b in (Batches([replace(stage, steps=99)], 3, 0, n_textures=8).batch(i) for i in range(99))
                 if b.prompt == "box")
    torch.manual_seed(2)
    model = architecture.build()
    architecture.initialize(model)
    model.set_image_size(stage.size)
    watch_decoder(model)
    encoded = []
    original = model._encode_memory_in_output
    model._encode_memory_in_output = lambda *args: (original(*args), encoded.append(args[-1]["maskmem_features"]))
    outcome = Rollout(model, losses.Affinity.of(architecture.DEMO), batch, Weights(0.25, 0.0, 0.1), 0.0, 2).run()
    assert [t for t, _, _ in outcome.overlaps] == [0, 3]
    assert [memory.requires_grad for memory in encoded] == [True, False, False]
    outcome.loss.backward()
    assert float(model.memory_attention.layers[0].cross_attn_image.k_proj.weight.grad.abs().sum()) > 0


def test_untaught_frames_have_losses_but_their_encoding_has_no_gradients():
    stage = Stage("clip", 9, 64, 6, 1, 2, (0.0, 0.0), silent=2, taught=2)
    batches = [Batches([stage], 3, 0, n_textures=8).batch(i) for i in range(9)]
    assert {b.taught for b in batches} == {(0, 3), (0, 4), (0, 5)}
    assert Batches([replace(stage, taught=0)], 3, 0, n_textures=8).batch(0).taught == (0, 3, 4, 5)
    batch = next(b for b in batches if b.prompt == "box" and b.taught == (0, 4))
    torch.manual_seed(2)
    model = architecture.build()
    architecture.initialize(model)
    model.set_image_size(stage.size)
    watch_decoder(model)
    roll = Rollout(model, losses.Affinity.of(architecture.DEMO), batch, Weights(0.25, 0.0, 0.1), 0.0, 2)
    seen, original = [], roll.step
    roll.step = lambda t, encoded, *args, **kwargs: (seen.append(encoded[0][-1].requires_grad),
                                                     original(t, encoded, *args, **kwargs))
    outcome = roll.run()
    assert seen == [True, False, False, False, True, False]
    assert [t for t, _, _ in outcome.overlaps] == [0, 3, 4, 5] and outcome.loss.requires_grad


def test_some_memories_are_of_spoiled_masks():
    """The first gets a disc more, the second one less, the third is not drawn. The prompted frame's stay."""
    stage = Stage("clip", 9, 64, 2, 1, 3, (0.0, 0.0), (1.0, 1.0))
    batch = Batches([stage], 3, 0, n_textures=8).batch(0)
    batch.spoils[:] = [[0.0, 1.0, 1.0, 0.5, 0.0], [0.0, 0.5, 0.5, 0.5, 1.0], [0.9, 0.5, 0.5, 0.5, 0.0]]
    model = architecture.build()
    roll = Rollout(model, losses.Affinity.of(architecture.DEMO), batch, Weights(0.25, 0.0, 0.0), 0.0)
    high = torch.full((3, 1, 64, 64), -4.0)
    high[:, :, 20:40, 20:40] = 4.0
    assert roll.spoiled(0, high) is high
    spoiled = roll.spoiled(1, high) > 0
    before = high > 0
    assert (spoiled & before)[0].sum() == 400 < spoiled[0].sum() < 600
    assert not (spoiled & ~before)[1].any() and 100 < spoiled[1].sum() < 200
    assert torch.equal(spoiled[2], before[2]) and torch.equal(high > 0, before)


def test_diagnosis_of_a_state(tmp_path):
    torch.manual_seed(5)
    model = architecture.build()
    architecture.initialize(model)
    torch.save({"architecture": architecture.DEMO, "average": model.state_dict()}, tmp_path / "state.pt")
    out = run("diagnose.py", tmp_path / "state.pt", "--clips", 4, "--frames", 3, "--size", 64)
    for what in ("as tracked", "true masks", "first alone", "astray", "50 frames apart", "share of attention"):
        assert what in out


def test_scores():
    truth = np.zeros((2, 20, 8, 8), bool)
    truth[0, :, :4], truth[1, :, 4:] = True, True
    truth[1, 3:8] = False
    found = truth.copy()
    found[0, :, :6] = True  # takes half of the second, which loses it: the lower id wins
    a, b = evaluate.score("c", found, truth, [(1, 0, None), (2, 0, None)])
    assert a.j == pytest.approx(np.full(19, 4 / 6)) and b.j[0] == pytest.approx(0.5)
    assert b.j[3] == 1 and not b.present[3]  # gone, and nothing found
    assert b.recoveries() == [True] and a.recoveries() == []


def test_results_of_the_command(tmp_path):
    def write(name, j):
        objects = [{"id": 1, "first_frame": 2, "frames": {"index": [2, 3, 4, 5], "J": [0.5, *j], "present": [1, 1, 0, 1]}}]
        (tmp_path / name).write_text(json.dumps({"clips": [{"name": "c", "objects": objects}]}))
        return tmp_path / name

    a, b, c = write("a.json", [0.9, 1.0, 0.8]), write("b.json", [0.9, 1.0, 0.803]), write("c.json", [0.9, 1.0, 0.8075])
    track, = evaluate.read_results(a)
    assert track.j.tolist() == [0.9, 1.0, 0.8] and track.present.tolist() == [True, False, True]
    assert '"J": 0.9' in run("evaluate.py", "--results", a, "--against", b)
    done = subprocess.run([sys.executable, "evaluate.py", "--results", a, "--against", c], cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 1 and "J of c differs by +0.00250" in done.stderr
    other = evaluate.Track("c", 2, track.j, track.present)
    with pytest.raises(SystemExit, match="other clips, objects"):
        evaluate.differences([track], [other])


def run(*words, cwd=HERE):
    done = subprocess.run([sys.executable, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_clips_under_way_take_their_turns():
    images, clips_ = Stage("images", 2, 64, 1, 4, 2, (0.0, 0.5)), Stage("follow", 6, 64, 5, 1, 2, (0.0, 1.0), chunk=2)
    stages = [images, clips_, images, replace(clips_, steps=2)]
    assert [chunk_of(stages, step) for step in range(2, 8)] == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    assert [chunk_of(stages, step) for step in (10, 11)] == [(0, 0), (0, 1)]
    assert [step for step in range(13) if not is_seam(stages, step)] == [3, 4, 5, 6, 7, 11]
    assert [next_seam(stages, step) for step in (1, 2, 3, 7, 8, 11, 12)] == [1, 2, 8, 8, 8, 12, 12]
    batches = Batches(stages, 1, 0, 8)
    assert [batches.batch(step) is None for step in range(2, 8)] == [False] * 3 + [True] * 3


def test_a_clip_over_several_steps_is_the_clip_in_one():
    """More frames than tracking reads back, so that those that are dropped are not missed; and what is kept is read."""
    torch.manual_seed(5)
    architecture.use_real_rope()
    model = architecture.build()
    architecture.initialize(model)
    model.set_image_size(64)
    watch_decoder(model)
    stage = Stage("follow", 6, 64, 25, 1, 2, (0.0, 1.0), chunk=4)
    batch = replace(Batches([stage], 4, 0, 8).batch(0), gap=7)

    class Kept(Rollout):
        def judge(self, t, low):
            super().judge(t, low)
            logits[self.batch.indices[t] if self.batch.indices else t] = self.model.said[0].detach()

    logits = {}
    Kept(model, losses.Affinity.of(model.architecture), replace(batch, taught=tuple(range(25))), Weights(0.25, 0.0, 0.0), 0.5).run()
    whole, spread = logits, float(torch.stack(list(logits.values())).std())
    for forgets in (False, True):
        following, logits, rng = Following(), {}, np.random.default_rng(1)
        for chunk in range(6):
            part, before = following.next(batch if chunk == 0 else None, stage, 0, rng)
            rollout = Kept(model, losses.Affinity.of(model.architecture), part, Weights(0.25, 0.0, 0.0), 0.5)
            assert rollout.run({} if forgets else before).loss.requires_grad
            following.keep(rollout.memory)
            assert part.goes_on == (chunk < 5)
            assert not any(kept["obj_ptr"].requires_grad for kept in following.turn.memories.values())
        assert logits.keys() == whole.keys() == set(range(25))
        worst = max(float((logits[frame] - whole[frame]).abs().max()) for frame in whole)
        assert (worst < 1e-3 * spread) != forgets


def test_what_comes_after_a_stray_mask_counts_less():
    """Of a right mask, one elsewhere, nothing found, an object that is away, a mask elsewhere of what is said to be away."""
    truth = torch.zeros(5, 1, 64, 64)
    truth[[0, 1, 2, 4], :, 10:30, 10:30] = 1
    found = truth.clone()
    found[[1, 4]] = truth[[1, 4]].roll(30, -1)
    found[2], found[3, :, :9, :9] = 0, 1
    presence = torch.tensor([[3.0], [3.0], [3.0], [3.0], [-3.0]])
    batch = Batches([Stage("clips", 1, 64, 2, 1, 5, (0.0, 1.0))], 3, 0, 8).batch(0)
    batch = replace(batch, masks=truth.numpy().astype(np.uint8).transpose(1, 0, 2, 3)[:, :, None].repeat(2, 2))
    rollout = Rollout(architecture.build(), None, batch, Weights(0.25, 0.0, 0.0), 0.0)
    assert rollout.astray(1, found * 12 - 6, presence).tolist() == [False, True, False, False, False]
    rollout.model.said = (torch.full((5, 4, 16, 16), -2.0), torch.full((5, 4), 0.5), presence)
    sums = []
    for strayed in ([0, 0, 0, 0, 0], [0, 1, 0, 1, 0]):  # where nothing is there to be followed, what is said counts whole
        rollout.sums, rollout.strayed = dict.fromkeys(rollout.sums, 0.0), torch.tensor(strayed) > 0
        rollout.judge(1, torch.full((5, 1, 16, 16), -2.0))
        sums.append({name: float(value) for name, value in rollout.sums.items()})
    left = (3 + STRAYED) / 4  # of four objects alike
    assert all(sums[1][name] == pytest.approx(left * sums[0][name]) for name in ("focal", "dice", "iou"))
    right, wrong = math.log1p(math.exp(-3)), math.log1p(math.exp(3))
    assert sums[0]["presence"] == pytest.approx((3 * right + wrong + 2 * wrong) / 5)
    assert sums[1]["presence"] == pytest.approx(((2 + STRAYED) * right + wrong + 2 * wrong) / 5)


def same_tensors(a, b) -> bool:
    """Of two states: numbers, tensors, and dicts and lists of them."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_tensors(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same_tensors, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_training_goes_on_after_a_break_as_if_there_had_been_none(tmp_path):
    """Some steps, some more, then one, which takes clips to their end, against all at once, by two processes: the same weights."""
    common = ("train.py", "--curriculum", "smoke", "--processes", 2, "--log-every", 1)
    run(*common, "--out", tmp_path / "whole")
    for asked, n_done, workers in ((3, 3, 1), (5, 8, 0), (1, 12, 0)):
        run(*common, "--out", tmp_path / "broken", "--stop-after", asked, "--workers", workers)
        assert torch.load(tmp_path / "broken/state.pt", weights_only=True)["n_done"] == n_done
    whole, broken = (torch.load(tmp_path / n / "state.pt", weights_only=True) for n in ("whole", "broken"))
    assert whole["n_done"] == broken["n_done"] == n_steps(SMOKE)
    for what in ("average", "model", "affinity", "optimizer", "options"):
        assert same_tensors(whole[what], broken[what]), what
    lines = [json.loads(line) for line in (tmp_path / "whole/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, n_steps(SMOKE) + 1))
    run("plot_log.py", tmp_path / "whole/log.jsonl", tmp_path / "log.svg")
    assert (tmp_path / "log.svg").read_text().rstrip().endswith("</svg>")
    run("export.py", tmp_path / "whole/state.pt", tmp_path / "m.safetensors")
    model = architecture.load(str(tmp_path / "m.safetensors"))
    worst = max(float((value - whole["average"][name]).abs().max()) for name, value in model.state_dict().items())
    assert worst < 2e-3  # half precision of values below 4
    with safe_open(tmp_path / "m.safetensors", "pt") as f:  # the mean with a model of three times these weights
        save_file({name: 3 * f.get_tensor(name).float() for name in f.keys()}, tmp_path / "thrice.safetensors", f.metadata())
    run("export.py", tmp_path / "whole/state.pt", tmp_path / "mean.safetensors", "--type", "f32", "--mean-with",
        tmp_path / "thrice.safetensors", "--doubt", 0.5)
    model = architecture.load(str(tmp_path / "mean.safetensors"))
    expected = {name: 2 * value for name, value in whole["average"].items()}
    expected["sam_mask_decoder.pred_obj_score_head.layers.2.bias"] -= 0.5
    worst = max(float((value - expected[name]).abs().max()) for name, value in model.state_dict().items())
    assert worst < 4e-3
    out = run("evaluate.py", tmp_path / "m.safetensors", "--clips", 1, "--frames", 3, "--difficulty", 0)
    assert '"tracks": 2' in out


def test_other_options_after_a_break_are_told(tmp_path):
    words = [sys.executable, "train.py", "--curriculum", "smoke", "--processes", "1", "--stop-after", "1", "--out", str(tmp_path)]
    said = [subprocess.run([*words, "--rate", rate], cwd=HERE, capture_output=True, text=True, timeout=300).stderr
            for rate in ("1e-3", "1e-3", "2e-3")]
    assert "ends otherwise" not in said[0] + said[1] and "until here with --rate 0.001, from here with 0.002" in said[2]


def test_a_run_in_bf16_follows_one_in_f32(tmp_path):
    losses_ = []
    for precision in ("f32", "bf16"):
        run("train.py", "--curriculum", "smoke", "--processes", 1, "--log-every", 1, "--stop-after", 6, "--out",
            tmp_path / precision, "--precision", precision)
        lines = (tmp_path / precision / "log.jsonl").read_text().splitlines()
        losses_.append([json.loads(line)["loss"] for line in lines])
    assert losses_[0] != losses_[1] and losses_[1] == pytest.approx(losses_[0], rel=0.02)


def test_a_run_starts_from_a_model_or_from_the_averaged_weights_of_a_state(tmp_path):
    narrow = architecture.DEMO | {"mem_dim": 32}
    model = architecture.build(narrow)
    save_file(model.state_dict(), tmp_path / "narrow.safetensors", metadata={"architecture": json.dumps(narrow)})
    run("train.py", "--curriculum", "smoke", "--processes", 1, "--stop-after", 1, "--out", tmp_path / "on",
        "--start", tmp_path / "narrow.safetensors")
    state = torch.load(tmp_path / "on/state.pt", weights_only=True)
    assert state["architecture"] == narrow and state["model"]["maskmem_tpos_enc"].shape[-1] == 32
    state["average"]["maskmem_tpos_enc"].fill_(7.0)
    torch.save(state, tmp_path / "other.pt")
    run("train.py", "--curriculum", "smoke", "--processes", 1, "--stop-after", 1, "--out", tmp_path / "again",
        "--start", tmp_path / "other.pt")
    again = torch.load(tmp_path / "again/state.pt", weights_only=True)
    assert float((again["model"]["maskmem_tpos_enc"] - 7.0).abs().max()) < 0.5


@pytest.mark.parametrize("to_all", (False, True))
def test_a_signal_ends_all_processes_after_the_same_step(tmp_path, to_all):
    """To the first of two, or to one and its worker as a service manager does."""
    log, started = tmp_path / "log.jsonl", time.time()
    counts = ["--processes", "1", "--workers", "1"] if to_all else ["--processes", "2"]
    words = [sys.executable, "train.py", *counts, "--log-every", "1", "--out", str(tmp_path)]
    with subprocess.Popen(words, cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as training:
        while time.time() < started + 300 and not (log.exists() and log.read_text().count("\n") >= 2):
            assert training.poll() is None, training.stderr.read()
            time.sleep(0.2)
        os.killpg(training.pid, signal.SIGTERM) if to_all else training.terminate()
        said = training.communicate(timeout=60)[1]
    assert training.returncode == 1 and "has all that is needed to go on" in said
    assert "Traceback" not in said
    n_done = torch.load(tmp_path / "state.pt", weights_only=True)["n_done"]
    assert n_done == len(log.read_text().splitlines()) >= 2


@pytest.mark.parametrize("name, expected", [("steady", 2.0), ("onward", None)])
def test_the_average_of_a_steady_run_is_that_of_its_way(name, expected):
    """Of 1, 2 and 3, from 100; elsewhere the start counts."""
    model = torch.nn.Linear(1, 1, bias=False)
    trainer = SimpleNamespace(args=SimpleNamespace(curriculum=name), model=model, n_done=0,
                              average={"weight": torch.full((1, 1), 100.0)})
    for value in (1.0, 2.0, 3.0):
        torch.nn.init.constant_(model.weight, value)
        train.Trainer.update_average(trainer)
        trainer.n_done += 1
    found = float(trainer.average["weight"])
    assert abs(found - expected) < 1e-5 if expected else abs(found - 2.0) > 0.1


def test_events_are_those_of_the_stage():
    for stages in CURRICULA.values():
        assert all(stage.of in EVENTS for stage in stages)
    assert all(abs(sum(shares.values()) - 1) < 1e-9 for shares in EVENTS.values())


def test_the_sample_clips_are_those_of_the_generator():
    """The true masks of one of them, made again."""
    sample = make_samples.SAMPLES[0]
    bank = generator.TextureBank(make_samples.BANK_SEED, n=make_samples.BANK_SIZE)
    masks = make_samples.make(sample, bank).masks.astype(bool)
    folder = HERE.parent / "samples/clips"
    entry = json.loads((folder / "manifest.json").read_text())["clips"][0]
    assert entry["name"] == sample.name and entry["seed"] == sample.seed and entry["frames"] == len(masks[0])
    assert np.array_equal(clips.read_truth(folder, entry, len(masks[0])), masks)


def test_run_lengths():
    by_hand = clips.from_run_lengths("251O", 3, 4)  # 2, 5, 1 and 4 = 5 - 1
    assert np.array_equal(by_hand, [[0, 1, 1, 1], [0, 1, 0, 1], [1, 1, 1, 1]])
    rng = np.random.default_rng(1)
    for mask in (rng.random((7, 5)) < 0.5, np.zeros((3, 4), bool), np.ones((4, 3), bool), rng.random((90, 70)) < 0.02):
        assert np.array_equal(clips.from_run_lengths(clips.run_lengths(mask), *mask.shape), mask)


def test_truth_in_files_comes_back(tmp_path):
    rng = np.random.default_rng(2)
    ids = rng.integers(0, 3, (4, 20, 30))  # [T, H, W]
    masks = np.stack([ids == 1, ids == 2])
    masks[1, 2] = False
    clips.write_truth(tmp_path / "png", masks)
    clips.write_run_lengths(tmp_path / "runs.json", masks)
    for truth in ("png", {"rle": "runs.json"}):
        entry = {"truth": truth, "objects": [{"id": 1}, {"id": 2}]}
        assert np.array_equal(clips.read_truth(tmp_path, entry, 4), masks)


def test_clips_are_replaced_as_a_whole_or_not_at_all(tmp_path):
    kept, other, extension, beside = (tmp_path / name for name in ("clips", "other", "extension", "clips.new"))
    old = json.dumps({"format": clips.FORMAT, "clips": []})
    for folder, name, text in ((kept, "manifest.json", old), (other, "thesis.txt", "old"),
                               (extension, "manifest.json", '{"name": "of something else"}'), (beside, "notes", "old")):
        folder.mkdir()
        (folder / name).write_text(text)
    for folder in (other, extension):
        with pytest.raises(SystemExit, match="not replaced"):
            with clips.in_new_folder(folder):
                pass
    with pytest.raises(KeyError):
        with clips.in_new_folder(kept) as folder:
            raise KeyError("half way")
    assert (kept / "manifest.json").read_text() == old and (other / "thesis.txt").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clips", "clips.new", "extension", "other"]
    with clips.in_new_folder(kept) as folder:
        (folder / "new").touch()
    assert [p.name for p in kept.iterdir()] == ["new"] and (beside / "notes").exists()
