"""A pair: two or more denoisers of one latent space and class set, ordered small to large."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from evaluation.cost.flops import count_flops
from models.blank import blank_parameters
from models.condition import Classes, Prompts
from models.folders import is_local
from models.precision import names_full_precision
from samplers import LinearVP, Process
from tstitch.config.cli import instantiate, not_a
from tstitch.config.settings import GuidanceSettings
from tstitch.pair.section import ORDERS, DenoiserSpec, PairSection
from tstitch.pair.weights import HUB, fetch_weights, fill_network, weights_entry
from tstitch.runtime.errors import UserError, errors_of

FROM_NETWORK = "pretrained"  # weights of the place that the network names
GUIDANCE = 1.5  # scale of pairs that name none
ENCODES = ("widths", "encode", "zero_negative", "digest")  # what a text encoder has
CLEARLY = 2  # times as many parameters: then the larger one costs more, too
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PairSpec:
    """A checked pair section: space, classes and denoisers, small to large."""

    name: str
    condition: Classes | Prompts
    space: Any
    denoisers: tuple[DenoiserSpec, ...]
    process: Process  # of the latents that are sampled
    guidance: GuidanceSettings  # where the `guidance` section names none
    sixteen_bits: bool = False  # every network names what stays in float32 (models.precision)

    @property
    def class_names(self) -> tuple[str, ...]:
        """What images are of, by label: names of classes, or prompts."""
        return self.condition.names

    @property
    def num_classes(self) -> int:
        """Number of classes or prompts; this index is the null condition."""
        return self.condition.null


def parse_pair(config: Any) -> PairSpec:
    """Checks the `pair` section without reading any weights.

    Raises:
        UserError: a bad field.
    """
    section = PairSection.parse(config, context={"process": LinearVP()})
    specs = tuple(_denoiser(section, name) for name in section.denoisers)
    pair = PairSpec(
        name=section.name,
        condition=_condition(section),
        space=section.space,
        denoisers=specs,
        process=section.process,
        guidance=_guidance(section, specs),
    )
    with torch.device("meta"):  # sizes only
        networks = [build_network(pair, spec) for spec in pair.denoisers]
    if section.order == ORDERS[0]:
        _check_order(pair, networks)
    specs = tuple(map(_completed, specs, networks))
    return replace(pair, denoisers=specs, sixteen_bits=all(map(names_full_precision, networks)))


def _completed(spec: DenoiserSpec, network: nn.Module) -> DenoiserSpec:
    """With what its network tells of itself: weights, prediction, identity."""
    weights, source = spec.weights, getattr(network, "pretrained", None)
    if weights == FROM_NETWORK:
        if source is None:
            raise UserError(
                f"pair.denoisers.{spec.name}.weights={weights}: its network names no source of "
                "weights; give a path, or random"
            )
        weights = source if is_local(source) else f"{HUB}{source}"
    trained, given = getattr(network, "trained_on", None), type(spec.process).__name__
    if trained not in (None, given):
        log.warning(
            "pair.denoisers.%s: its scheduler_config.json says %s, and its process is %s; "
            "set process of the pair or of the denoiser",
            *(spec.name, trained, given),
        )
    prediction = getattr(network, "prediction", None) or spec.process.prediction
    own = {
        "weights": weights,
        "prediction": spec.prediction or prediction,
        "identity": getattr(network, "identity", None),
        "has_null": getattr(network, "has_null", True),
        "splits": getattr(network, "splits", False),
        "one_pass": getattr(network, "one_pass", False),
    }
    return spec.model_copy(update=own)


def _check_order(pair: PairSpec, networks: list[nn.Module]) -> None:
    """Refuses a denoiser before a cheaper one: its share of the steps would be the other's."""
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    for index in range(1, len(networks)):
        sizes, costs = counts[index - 1 : index + 1], counts[index - 1 : index + 1]
        texts = [f"{count:,} parameters" for count in sizes]
        if sizes[0] * CLEARLY > sizes[1]:  # patches may be of another size: FLOPs decide
            try:
                costs = [count_flops(n, pair.space.shape) for n in networks[index - 1 : index + 1]]
                texts = [f"{t}, {c:.4g} FLOPs" for t, c in zip(texts, costs, strict=True)]
            except Exception:  # networks of users, which may not run on the meta device
                log.debug("pair.denoisers: FLOPs cannot be counted", exc_info=True)
        if costs[0] > costs[1]:
            before, after = (spec.name for spec in pair.denoisers[index - 1 : index + 1])
            raise UserError(
                f"pair.denoisers: {before} ({texts[0]}) is listed before {after} ({texts[1]}); "
                "list them small to large, or set order: as_listed in the pair if this is meant"
            )


def _denoiser(section: PairSection, name: str) -> DenoiserSpec:
    path, context = f"pair.denoisers.{name}", {"process": section.process}
    own = section.denoisers[name]
    if isinstance(own, Mapping) and "network" not in own and len(section.denoisers) > 1:
        others = ", ".join(str(other) for other in section.denoisers if other != name)
        raise UserError(  # a mistyped name is a section of its own
            f"{path}: has no network; choose one of {others}, or give it network, weights and "
            "sha256"
        )
    spec = DenoiserSpec.parse(own, path, context)
    return spec.model_copy(update={"name": name})


def _condition(section: PairSection) -> Classes | Prompts:
    """Classes or prompts, whichever the pair names."""
    if section.prompts is None:
        return Classes(section.classes or ())
    encoder = instantiate(section.text_encoder, "pair.text_encoder")
    if not all(hasattr(encoder, name) for name in ENCODES):
        raise not_a(section.text_encoder, "pair.text_encoder", "text encoder")
    return Prompts(section.prompts, section.negative_prompt, encoder)


def _guidance(section: PairSection, denoisers: Sequence[DenoiserSpec]) -> GuidanceSettings:
    """What the pair names; all channels where it names none."""
    pair = section.guidance.over(GuidanceSettings(GUIDANCE, section.space.shape[0]))
    given = {spec.name: spec.guidance for spec in denoisers if spec.guidance is not None}
    return replace(pair, scales={name: pair.counted(scale) for name, scale in given.items()})


def build_network(pair: PairSpec, spec: DenoiserSpec) -> nn.Module:
    """The freshly initialised network of a denoiser, checked against the pair.

    Raises:
        UserError: bad sizes, or a latent shape or class count other than the pair's.
    """
    path = f"pair.denoisers.{spec.name}.network"
    channels, side, _ = pair.space.shape
    expected = {"input_size": side, "in_channels": channels, "num_classes": pair.num_classes}
    for name, value in expected.items():
        given = spec.network.get(name, value)
        if given != value:
            raise _other_size(path, name, given, value, pair)
    network = instantiate(dict(spec.network), path, offered=expected)
    if not isinstance(network, nn.Module):
        raise not_a(spec.network, path, "torch.nn.Module")
    for name, value in expected.items():
        own = getattr(network, name, value)
        if own != value:
            raise _other_size(path, name, own, value, pair)
    with errors_of(f"{path}: "):
        pair.condition.check(network)
    return network


def _other_size(path: str, name: str, given: Any, value: int, pair: PairSpec) -> UserError:
    return UserError(
        f"{path}.{name}={given}: all denoisers of pair {pair.name} need {value}; "
        "pair networks of one latent shape and class count"
    )


def locate_weights(spec: DenoiserSpec) -> Path | None:
    """The local file of a denoiser's weights, downloaded if remote; None for random weights.

    Raises:
        UserError: no such file, failed download, or another digest than the configured one.
    """
    return fetch_weights(spec.weights, spec.sha256, f"pair.denoisers.{spec.name}.weights")


def locate_entry(pair: PairSpec, spec: DenoiserSpec, path: Path | None) -> str | None:
    """Which entry of its file a denoiser's weights are; None if the file is nothing else.

    Raises:
        UserError: a checkpoint that does not fit the network.
    """
    with torch.device("meta"):
        network = build_network(pair, spec)
    return weights_entry(network, path, f"pair.denoisers.{spec.name}.weights")


def load_network(pair: PairSpec, spec: DenoiserSpec, path: Path | None) -> nn.Module:
    """The network with its weights, in evaluation mode, float32 on the CPU.

    Raises:
        UserError: a checkpoint that does not fit the network.
    """
    with blank_parameters():
        network = build_network(pair, spec)
    fill_network(network, path, f"pair.denoisers.{spec.name}.weights")
    return network.eval().requires_grad_(False)


def load_space(pair: PairSpec, device: torch.device) -> Any:
    """The pair's space on a device, loaded; says where its constants are not its files'.

    Raises:
        UserError: an autoencoder that is not there, damaged, or of other dimensions.
    """
    with errors_of("pair.space."):
        space = pair.space.to(device).load()
    for line in getattr(space, "remarks", ()):
        log.warning("pair.space.%s", line)
    return space
