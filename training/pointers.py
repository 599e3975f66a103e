# SPDX-License-Identifier: Apache-2.0
"""Object pointers, so that they get attention when training with memories begins.

The rows of memories that look like the query win every softmax by ten and more; pointers, left alone, never get
attention, hence no gradient, and a model is trained in which they do not matter. Their keys get a constant (the bias of
obj_ptr_tpos_proj) that lets them have a share at first; what they make of it is training's.
"""
import math
from collections.abc import Callable

import torch

from architecture import RoPEAttention, SmallTracker, queries_and_keys, rope_attention

SHARE = 0.05  # of the attention, for a query whose memories answer as usual
ROUNDS = 3


class Watch:
    """While it is open: of each memory cross-attention, over all calls, the mean query, by how much memories' logits win
    (log-sum-exp of memories less that of pointers) and the share of the attention that pointers have."""

    def __init__(self, attentions: list[RoPEAttention]):
        self.attentions = attentions
        self.queries, self.leads, self.shares = ([[] for _ in attentions] for _ in range(3))

    def __enter__(self):
        self.before = RoPEAttention.forward
        watch = self

        def forward(self, q, k, v, num_k_exclude_rope=0):
            if num_k_exclude_rope and self in watch.attentions:
                watch.look(self, q, k, num_k_exclude_rope)
            return rope_attention(self, q, k, v, num_k_exclude_rope)

        RoPEAttention.forward = forward
        return self

    def __exit__(self, *_):
        RoPEAttention.forward = self.before

    def look(self, attention, q, k, n_pointers):
        q, k = queries_and_keys(attention, q, k, n_pointers)  # of one head
        logits = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        memories, pointers = logits.split((logits.shape[-1] - n_pointers, n_pointers), -1)
        i = self.attentions.index(attention)
        self.queries[i].append(q.mean((0, 1, 2)))
        lead = memories.logsumexp(-1) - pointers.logsumexp(-1)
        self.leads[i].append(lead.mean())
        self.shares[i].append(torch.sigmoid(-lead).mean())


@torch.no_grad()
def wake(model: SmallTracker, follow: Callable[[], object]) -> list[float]:
    """follow: tracks something by the model. Returns by how much memories win in each layer, before."""
    attentions = [layer.cross_attn_image for layer in model.memory_attention.layers]
    first = None
    for _ in range(ROUNDS):  # a second layer sees what the first makes of it
        with Watch(attentions) as watch:
            follow()
        leads = torch.stack([torch.stack(x).mean() for x in watch.leads])
        first = leads if first is None else first
        answers = torch.stack([torch.stack(q).mean(0) @ a.k_proj.weight / math.sqrt(len(a.k_proj.weight))
                               for q, a in zip(watch.queries, attentions)])
        missing = leads + math.log(SHARE / (1 - SHARE))
        model.obj_ptr_tpos_proj.bias += torch.linalg.lstsq(answers.cpu(), missing[:, None].cpu(),
                                                           driver="gelsd").solution[:, 0].to(leads.device)
    return first.tolist()
