# SPDX-License-Identifier: Apache-2.0
"""Products in bf16 on a processor that has instructions for them (avx512_bf16, amx_bf16 in /proc/cpuinfo): those of linear
layers and of attention, forwards and backwards. What is between them stays in f32; autocast would have that in bf16 as
well, which costs a processor more than the products save."""
import torch


class Linear(torch.autograd.Function):
    @staticmethod
    def forward(context, x, weight, bias):
        """x: [..., n], weight: [m, n], bias: [m] or None; [..., m], all f32."""
        rows, weight = x.reshape(-1, x.shape[-1]).bfloat16(), weight.bfloat16()
        context.save_for_backward(rows, weight)
        context.shape, context.has_bias = x.shape, bias is not None
        y = (rows @ weight.t()).float()
        return (y if bias is None else y.add_(bias)).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(context, gradient):
        rows, weight = context.saved_tensors
        gradient = gradient.reshape(-1, gradient.shape[-1])
        half = gradient.bfloat16()
        of_x = (half @ weight).float().view(context.shape) if context.needs_input_grad[0] else None
        of_weight = (half.t() @ rows).float() if context.needs_input_grad[1] else None
        return of_x, of_weight, gradient.sum(0) if context.has_bias else None


class Attention(torch.autograd.Function):
    @staticmethod
    def forward(context, q, k, v):
        """q: [..., m, d], k: [..., n, d], v: [..., n, e]; [..., m, e], all f32. Scaled by d ** -0.5."""
        q, k, v = (q * q.shape[-1] ** -0.5).bfloat16(), k.bfloat16(), v.bfloat16()
        shares = torch.softmax(q @ k.transpose(-1, -2), -1)
        context.save_for_backward(q, k, v, shares)
        return (shares @ v).float()

    @staticmethod
    def backward(context, gradient):
        q, k, v, shares = context.saved_tensors
        gradient = gradient.bfloat16()
        of_v = shares.transpose(-1, -2) @ gradient
        of_shares = gradient @ v.transpose(-1, -2)
        of_logits = torch._softmax_backward_data(of_shares, shares, -1, torch.bfloat16)  # sums in f32
        of_q = (of_logits @ k).float() * q.shape[-1] ** -0.5
        return of_q, (of_logits.transpose(-1, -2) @ q).float(), of_v.float()


def use_bf16():
    """From here on, in this process, for every linear layer and attention of the graph."""
    torch.nn.Linear.forward = lambda self, x: Linear.apply(x, self.weight, self.bias)
    torch.nn.functional.scaled_dot_product_attention = lambda q, k, v, dropout_p=0.0: Attention.apply(q, k, v)
