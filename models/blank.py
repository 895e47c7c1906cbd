"""Networks that are built to be filled: their first random values would be drawn in vain."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

RANDOM_FILLS = frozenset({
    torch.Tensor.normal_, torch.Tensor.uniform_, nn.init.normal_, nn.init.uniform_,
    nn.init.trunc_normal_, nn.init.xavier_normal_, nn.init.xavier_uniform_,
    nn.init.kaiming_normal_, nn.init.kaiming_uniform_,
})  # fmt: skip


class _Blank(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in RANDOM_FILLS:
            tensor = args[0] if args else kwargs["tensor"]
            if isinstance(tensor, nn.Parameter) and tensor.requires_grad:
                return tensor.data.zero_()
        return func(*args, **kwargs)


@contextmanager
def blank_parameters() -> Iterator[None]:
    """Trainable parameters of networks built in the block are zero where they would be random.

    Drawing the 675 million of a DiT-XL/2, twice for most, takes several times as long as reading
    them. Buffers and fixed parameters are as ever.
    """
    with _Blank():
        yield
