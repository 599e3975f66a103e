# SPDX-License-Identifier: Apache-2.0
"""Long clips, followed over several steps: a step has the prompted frame and the next few, with losses on all of them, and
reads the memories that the steps before have made. So losses come as late as in a long video, and there are no frames that
are gone through for their memories alone. Several clips are followed in turns, so that steps near each other differ."""
from dataclasses import dataclass, field, replace

from curriculum import Batch, Batches, Stage

READ = 16  # frames back that tracking reads: memories of 6, pointers of 15


@dataclass
class Slot:
    """Clips that are under way."""
    batch: Batch
    next: int = 1  # frame
    memories: dict = field(default_factory=dict)  # by frame, without gradients


class Following:
    """Of one process and a stage. For each step: next, and keep after its rollout."""

    def __init__(self):
        self.slots: dict[int, Slot] = {}
        self.turn = None

    def next(self, batch: Batch | None, stage: Stage, number: int, rng) -> tuple[Batch, dict]:
        """The frames of a step and the memories before them. batch: whole clips that slot `number` begins with; None: it
        goes on."""
        if batch is not None:
            self.slots[number] = Slot(batch)
        self.turn = slot = self.slots[number]
        whole, begin = slot.batch, slot.next
        slot.next = end = begin + stage.chunk
        at = [0, *range(begin, end)]
        part = replace(whole, images=whole.images[:, at], masks=whole.masks[:, :, at], ids=whole.ids[:, at],
                       draws=whole.draws[at], spoils=whole.spoils[at], taught=Batches.taught(rng, stage, len(at)),
                       indices=tuple(at), goes_on=end < stage.frames)
        return part, slot.memories

    def keep(self, memory: dict):
        slot, later = self.turn, memory["non_cond_frame_outputs"]
        if slot.next < slot.batch.images.shape[1]:
            slot.memories = {frame: without_gradients(later[frame]) for frame in sorted(later)[-READ:]}


def without_gradients(output: dict) -> dict:
    """What tracking reads of a frame's output."""
    return {"maskmem_features": output["maskmem_features"].detach(), "obj_ptr": output["obj_ptr"].detach(),
            "maskmem_pos_enc": [code.detach() for code in output["maskmem_pos_enc"]]}
