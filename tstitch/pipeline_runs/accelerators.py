"""Training-free accelerations of others in the networks of a pair: DeepCache and token merging."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from torch import nn

from tstitch.runtime.errors import UserError


class Accelerator(ABC):
    """Changes networks in place, before they are stitched.

    Args:
        options: of the package's own function.
    """

    title: str  # in reports
    package: str

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = dict(options)

    @abstractmethod
    def apply(self, pipe: Any, networks: Sequence[nn.Module]) -> None:
        """Changes them.

        Args:
            pipe: the pipeline that will run them.

        Raises:
            UserError: the package refuses the options or a network.
        """

    @abstractmethod
    def begin(self) -> None:
        """Forgets what it kept of the run before."""


@dataclass(frozen=True)
class _Seen:
    """A pipeline as DeepCache sees it: one network, and whatever scheduler runs."""

    unet: nn.Module
    pipe: Any

    @property
    def scheduler(self) -> Any:
        return self.pipe.scheduler


class DeepCache(Accelerator):
    """Deep features of a step are kept for the next ones (arXiv 2312.00858); each network has its
    own. Options: cache_interval, cache_branch_id, of the package DeepCache."""

    title = package = "DeepCache"

    def apply(self, pipe: Any, networks: Sequence[nn.Module]) -> None:
        from DeepCache import DeepCacheSDHelper

        self._helpers = []
        for network in networks:
            helper = DeepCacheSDHelper(_Seen(network, pipe))
            _do(self, partial(helper.set_params, **self.options))
            _do(self, helper.enable)
            self._helpers.append(helper)

    def begin(self) -> None:
        for helper in self._helpers:
            helper.cached_output, helper.start_timestep = {}, None


class TokenMerging(Accelerator):
    """Similar tokens are attended to as one (arXiv 2303.17604). Options: ratio, max_downsample, of
    the package tomesd."""

    title, package = "ToMe", "tomesd"

    def apply(self, pipe: Any, networks: Sequence[nn.Module]) -> None:
        import tomesd

        for network in networks:
            # Places drawn at random would depend on the batch that an image is in.
            options = {"use_rand": False, **self.options}
            _do(self, partial(tomesd.apply_patch, network, **options))

    def begin(self) -> None:
        """Nothing is kept."""


KINDS: dict[str, type[Accelerator]] = {"deepcache": DeepCache, "tome": TokenMerging}


def build_accelerator(section: Mapping[str, Any] | None) -> Accelerator | None:
    """Of a section `{kind: deepcache, cache_interval: 3}`; None of none.

    Raises:
        UserError: no such kind, or no package for it.
    """
    if section is None:
        return None
    options = dict(section)
    kind = options.pop("kind", None)
    if kind not in KINDS:
        raise UserError(f"pair.accelerate.kind={kind}: choose one of {', '.join(KINDS)}")
    package = KINDS[kind].package
    try:
        import_module(package)
    except ImportError as error:
        remedy = f"pip install {package}"
        raise UserError(f"pair.accelerate: needs the package {package}; {remedy}") from error
    return KINDS[kind](options)


def _do(accelerator: Accelerator, work: Any) -> None:
    try:
        work()
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"pair.accelerate: {accelerator.title} cannot ({reason})") from error
