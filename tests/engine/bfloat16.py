"""Matrix products of bfloat16 units, on a processor that has none."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

aten = torch.ops.aten
PRODUCTS = {
    aten.linear,
    aten.addmm,
    aten.mm,
    aten.bmm,
    aten.matmul,
    aten.convolution,
    aten.conv2d,
    aten.scaled_dot_product_attention,
    aten._scaled_dot_product_flash_attention_for_cpu,
}


class Bfloat16Products(TorchDispatchMode):
    """Products of bfloat16 factors, accumulated in float32 and rounded once, as the units do it.

    PyTorch without such units gives the same numbers, a hundred times slower."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func.overloadpacket not in PRODUCTS or args[0].dtype != torch.bfloat16:
            return func(*args, **kwargs)
        wide = func(*tree_map(_widened, args), **tree_map(_widened, kwargs))
        return tree_map(_rounded, wide)


def _widened(value):
    narrow = isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16
    return value.float() if narrow else value


def _rounded(value):
    wide = isinstance(value, torch.Tensor) and value.dtype == torch.float32
    return value.bfloat16() if wide else value
