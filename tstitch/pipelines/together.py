"""What is done to the large network of a stitched pipeline happens to the smaller ones too.

Methods of the large network are replaced on this one object, and put back by `unbind`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import MethodType
from typing import Any

import torch
from torch import nn

from tstitch.pipelines.hook import StitchHook, attach, detach, hook_of
from tstitch.runtime.errors import UserError

# `_apply` is what `to`, `half`, `float` and `cuda` come down to.
BOTH = (
    "_apply", "train", "requires_grad_", "set_default_attn_processor", "set_attention_slice",
    "set_attention_backend", "reset_attention_backend", "enable_freeu", "disable_freeu",
    "fuse_qkv_projections", "unfuse_qkv_projections", "enable_layerwise_casting",
    "enable_xformers_memory_efficient_attention", "disable_xformers_memory_efficient_attention",
    "compile_repeated_blocks",
)  # fmt: skip
# Their hooks have to lie inside ours, each around one network.
INSIDE = ("enable_cache", "disable_cache", "enable_group_offload")
OTHERS = ("compile", "cache_context", "_reset_stateful_cache")


def bind(large: nn.Module) -> None:
    """Replaces the methods of a stitched network."""
    for name in BOTH:
        if hasattr(type(large), name):
            _set(large, name, _both(name))
    for name in INSIDE:
        if hasattr(type(large), name):
            _set(large, name, _inside(name))
    _set(large, "compile", _compile)
    _set(large, "_reset_stateful_cache", _end_run)
    if hasattr(type(large), "cache_context"):
        _set(large, "cache_context", _cache_context)


def unbind(large: nn.Module) -> None:
    """Puts them back."""
    for name in (*BOTH, *INSIDE, *OTHERS):
        large.__dict__.pop(name, None)


def _set(large: nn.Module, name: str, function: Callable[..., Any]) -> None:
    object.__setattr__(large, name, MethodType(function, large))


def _own(network: nn.Module, name: str) -> Callable[..., Any]:
    """The method of its class."""
    return MethodType(getattr(type(network), name), network)


def _hook(large: nn.Module) -> StitchHook:
    hook = hook_of(large)
    assert hook is not None
    return hook


def _both(name: str) -> Callable[..., Any]:
    def method(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        for small in _hook(self).smaller:
            getattr(small, name)(*args, **kwargs)
        return _own(self, name)(*args, **kwargs)

    return method


def _inside(name: str) -> Callable[..., Any]:
    def method(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        hook = detach(self)
        try:
            result = _own(self, name)(*args, **kwargs)
            for small in hook.smaller:
                getattr(small, name)(*args, **kwargs)
        finally:
            attach(self, hook)
        return result

    return method


def _compile(self: nn.Module, *args: Any, **kwargs: Any) -> None:
    """Each network by itself, the choice outside."""
    hook = _hook(self)
    for small in hook.smaller:
        small.compile(*args, **kwargs)
    inner = hook.fn_ref.original_forward
    hook.fn_ref.original_forward = torch.compile(inner, *args, **kwargs)


@contextmanager
def _cache_context(self: nn.Module, *args: Any, **kwargs: Any) -> Iterator[None]:
    with ExitStack() as stack:
        for network in (*_hook(self).smaller, self):
            stack.enter_context(_own(network, "cache_context")(*args, **kwargs))
        yield


def _end_run(self: nn.Module, recurse: bool = True) -> None:
    """Pipelines reset caches at the end of a run; U-Nets have none, but are asked as well."""
    for network in (*_hook(self).smaller, self):
        if hasattr(type(network), "_reset_stateful_cache"):
            _own(network, "_reset_stateful_cache")(recurse=recurse)
    _hook(self).end_run(self)


def check_not_compiled(network: nn.Module, component: str) -> None:
    """Refuses a large network that is a compiled graph, which no hook can enter.

    Raises:
        UserError: it is.
    """
    if hasattr(network, "_orig_mod") or network._compiled_call_impl is not None:
        raise UserError(
            f"pipe: its {component} is compiled already; call stitch() first, then "
            f"pipe.{component}.compile(), which compiles each network"
        )
