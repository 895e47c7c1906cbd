"""A pair: two or more denoisers of one latent space and class set, ordered small to large."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from evaluation.cost.flops import count_flops
from models.blank import blank_parameters
from models.condition import Classes, Prompts, read_prompts
from models.folders import is_local
from models.precision import names_full_precision
from samplers import MATCHES, PREDICTIONS, LinearVP, Process
from tstitch.cli import instantiate
from tstitch.errors import UserError
from tstitch.section import Section
from tstitch.settings import GuidanceSettings, parse_guidance
from tstitch.weights import HUB, fetch_weights, fill_network, weights_entry

PROMPT_FIELDS = ("prompts", "negative_prompt", "text_encoder")
FROM_NETWORK = "pretrained"  # weights of the place that the network names
ORDERS = ("small_to_large", "as_listed")
GUIDANCE = 1.5  # scale of pairs that name none
CLEARLY = 2  # times as many parameters: then the larger one costs more, too
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DenoiserSpec:
    """One denoiser of the configuration; nothing is loaded yet."""

    name: str
    network: Mapping[str, Any]  # _target_ and sizes
    weights: str  # path, URL, gdrive:ID, shipped:PATH, hub:NAME or "random"
    sha256: str | None
    process: Process  # that it was trained on
    prediction: str
    match: str = MATCHES[0]  # where the pair's process is another: samplers.Matching
    guidance: float | None = None  # a scale of its own
    identity: Mapping[str, Any] | None = None  # what `network` names; None = its values say it
    has_null: bool = True  # whether it can be guided


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
    # What the pair is evaluated with is read from the `evaluation` section.
    fields: tuple[str, ...] = (
        "name", "classes", "space", "denoisers", "order", "evaluation", "process", "guidance",
        *PROMPT_FIELDS,
    )  # fmt: skip
    defaults: dict[str, Any] = {"order": ORDERS[0], "process": None, "guidance": {}}
    defaults |= dict.fromkeys(("classes", *PROMPT_FIELDS))
    section = Section(config, "pair", fields, defaults)
    order = section.choice("order", ORDERS)
    denoisers = section.raw("denoisers")
    if not isinstance(denoisers, Mapping) or not denoisers:
        raise UserError("pair.denoisers: name at least one denoiser, small to large")
    if not re.fullmatch(r"\w[\w .+-]*", section.text("name")):  # it names a folder
        raise section.refuse("name", "use only letters, digits, spaces and _ . + -")
    space = instantiate(section.raw("space"), "pair.space")
    if not hasattr(space, "decode"):
        raise UserError(f"pair.space._target_={section.raw('space')['_target_']}: is no space")
    process = _process(section, "pair.process", LinearVP())
    specs = tuple(_denoiser(name, value, process) for name, value in denoisers.items())
    pair = PairSpec(
        name=section.text("name"),
        condition=_condition(section),
        space=space,
        denoisers=specs,
        process=process,
        guidance=_guidance(section, specs, space.shape[0]),
    )
    with torch.device("meta"):  # sizes only
        networks = [build_network(pair, spec) for spec in pair.denoisers]
    if order == ORDERS[0]:
        _check_order(pair, networks)
    specs = tuple(_completed(s, n, denoisers[s.name]) for s, n in zip(specs, networks, strict=True))
    return replace(pair, denoisers=specs, sixteen_bits=all(map(names_full_precision, networks)))


def _completed(spec: DenoiserSpec, network: nn.Module, config: Mapping[str, Any]) -> DenoiserSpec:
    """With what its network tells of itself: weights, prediction, identity."""
    weights, source = spec.weights, getattr(network, "pretrained", None)
    if weights == FROM_NETWORK:
        if source is None:
            raise UserError(
                f"pair.denoisers.{spec.name}.weights={weights}: its network names no source of "
                "weights; give a path, or random"
            )
        weights = source if is_local(source) else f"{HUB}{source}"
    prediction = config.get("prediction") or getattr(network, "prediction", None) or spec.prediction
    return replace(
        spec,
        weights=weights,
        prediction=prediction,
        identity=getattr(network, "identity", None),
        has_null=getattr(network, "has_null", True),
    )


def _check_order(pair: PairSpec, networks: list[nn.Module]) -> None:
    """Refuses a denoiser before a cheaper one: its share of the steps would be the other's."""
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    for index in range(1, len(networks)):
        sizes, costs = counts[index - 1 : index + 1], counts[index - 1 : index + 1]
        told = [f"{count:,} parameters" for count in sizes]
        if sizes[0] * CLEARLY > sizes[1]:  # patches may be of another size: FLOPs decide
            try:
                costs = [count_flops(n, pair.space.shape) for n in networks[index - 1 : index + 1]]
                told = [f"{t}, {c:.4g} FLOPs" for t, c in zip(told, costs, strict=True)]
            except Exception:  # networks of users, which may not run on the meta device
                log.debug("pair.denoisers: FLOPs cannot be counted", exc_info=True)
        if costs[0] > costs[1]:
            before, after = (spec.name for spec in pair.denoisers[index - 1 : index + 1])
            raise UserError(
                f"pair.denoisers: {before} ({told[0]}) is listed before {after} ({told[1]}); list "
                "them small to large, or set order: as_listed in the pair if this is meant"
            )


def _condition(section: Section) -> Classes | Prompts:
    """Classes or prompts, whichever the pair names."""
    prompts = section.raw("prompts")
    if prompts is None:
        for name in PROMPT_FIELDS[1:]:
            if section.raw(name) is not None:
                raise section.refuse(name, "is for pairs with prompts; give pair.prompts, or null")
        return Classes(_class_names(section))
    if section.raw("classes") is not None:
        raise section.refuse("classes", "give either classes or prompts, the other one null")
    negative = section.raw("negative_prompt")
    if negative is not None and not isinstance(negative, str):
        raise section.refuse("negative_prompt", "give a text, or null")
    try:
        texts = read_prompts(prompts)
    except ValueError as error:
        raise section.refuse("prompts", str(error)) from error
    encoder = instantiate(section.raw("text_encoder"), "pair.text_encoder")
    return Prompts(texts, negative, encoder)


def _class_names(section: Section) -> tuple[str, ...]:
    value = section.raw("classes")
    if value == "imagenet":
        from timm.data import ImageNetInfo

        return tuple(text.split(",")[0] for text in ImageNetInfo().label_descriptions())
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return tuple(str(index) for index in range(value))
    if not isinstance(value, list) or not value:
        raise section.refuse("classes", "give a list of names, their number, or imagenet")
    return tuple(str(name) for name in value)


def _process(section: Section, path: str, default: Process) -> Process:
    config = section.raw("process")
    if config is None:
        return default
    process = instantiate(config, path)
    if not isinstance(process, Process) or not is_dataclass(process):
        raise UserError(f"{path}._target_={config['_target_']}: is no dataclass of Process")
    return process


def _guidance(
    section: Section, denoisers: Sequence[DenoiserSpec], channels: int
) -> GuidanceSettings:
    """What the pair names; all channels where it names none."""
    default = GuidanceSettings(GUIDANCE, channels)
    shared = parse_guidance(section.raw("guidance"), default, "pair.guidance")
    own = {spec.name: spec.guidance for spec in denoisers if spec.guidance is not None}
    return replace(shared, scales=own)


def _denoiser(name: str, config: Any, process: Process) -> DenoiserSpec:
    path = f"pair.denoisers.{name}"
    fields = ("network", "weights", "sha256", "prediction", "process", "match", "guidance")
    defaults = {"prediction": None, "process": None, "match": MATCHES[0], "guidance": None}
    section = Section(config, path, fields, defaults)
    digest = section.raw("sha256")
    if digest is not None and (not isinstance(digest, str) or len(digest) != 64):
        raise section.refuse("sha256", "give 64 hexadecimal digits, or null")
    network = section.raw("network")
    if not isinstance(network, Mapping):
        raise section.refuse("network", "needs a section with _target_ and its arguments")
    process, prediction = _process(section, f"{path}.process", process), section.raw("prediction")
    return DenoiserSpec(
        name,
        network,
        section.text("weights"),
        digest,
        process=process,
        prediction=section.choice("prediction", PREDICTIONS) if prediction else process.prediction,
        match=section.choice("match", MATCHES),
        guidance=None if section.raw("guidance") is None else section.number("guidance", 0.0),
    )


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
        raise UserError(f"{path}._target_={spec.network['_target_']}: is no torch.nn.Module")
    for name, value in expected.items():
        own = getattr(network, name, value)
        if own != value:
            raise _other_size(path, name, own, value, pair)
    try:
        pair.condition.check(network)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
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


def bind_condition(pair: PairSpec, networks: Mapping[str, nn.Module], device: torch.device) -> None:
    """Hands networks that take texts the encoded ones; others know their classes.

    Raises:
        UserError: a text encoder that is not there or damaged, or no package for it.
    """
    with _errors_of("text_encoder"):
        pair.condition.bind(networks.values(), device)


def condition_identity(pair: PairSpec) -> dict[str, Any]:
    """What of a pair's conditions decides the images, beside their number; {} of classes.

    Raises:
        UserError: a text encoder that is not there.
    """
    with _errors_of("text_encoder"):
        return pair.condition.identity()


def load_space(pair: PairSpec, device: torch.device) -> Any:
    """The pair's space on a device, loaded; says where its constants are not its files'.

    Raises:
        UserError: an autoencoder that is not there, damaged, or of other dimensions.
    """
    with space_errors():
        space = pair.space.to(device).load()
    for line in getattr(space, "remarks", ()):
        log.warning("pair.space.%s", line)
    return space


@contextmanager
def space_errors() -> Iterator[None]:
    """Turns what a space refuses while it loads into a UserError."""
    with _errors_of("space"):
        yield


@contextmanager
def _errors_of(section: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise UserError(f"pair.{section}.{error}") from error
