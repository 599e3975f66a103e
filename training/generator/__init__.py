# SPDX-License-Identifier: Apache-2.0
"""Procedural video clips with exact object masks: moving shapes, occlusions, look-alikes, leaving, returning."""
from .clip import Clip, box_prompt, make_clip
from .scene import SCENARIOS
from .textures import TextureBank

__all__ = ["Clip", "SCENARIOS", "TextureBank", "box_prompt", "make_clip"]
