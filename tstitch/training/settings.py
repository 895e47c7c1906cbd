"""The checked `train` section of the configuration."""

from dataclasses import dataclass, fields
from typing import Any

from samplers import NUM_TIMESTEPS
from tstitch.config.section import Section
from tstitch.config.settings import MAX_SEED
from tstitch.runtime.device import DEVICES


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train one denoiser of a pair; the fields are described in configs/train.yaml."""

    denoiser: str
    dir: str
    init: str | None
    grow: bool
    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    decay_steps: int
    weight_decay: float
    grad_clip: float
    ema_decay: float
    label_dropout: float
    timesteps: tuple[int, int]  # drawn uniformly from the first up to below the second
    focus: tuple[int, int]  # the same, for a share of the draws
    focus_share: float
    noise_weight_limit: float
    teacher: str | None
    dtype: str
    compile: bool
    seed: int
    device: str
    workers: int
    latents: str
    flip: bool
    checkpoint_every: int
    log_every: int
    sample_every: int
    snapshots: tuple[int, ...]

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, constant, then linear decay to zero over the last decay_steps."""
        up = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        down = min(1.0, (self.steps - step) / self.decay_steps) if self.decay_steps else 1.0
        return self.learning_rate * min(up, down)


def parse_train(config: Any, denoisers: list[str], world_size: int) -> TrainSettings:
    """Checks the `train` section.

    Raises:
        UserError: a bad field.
    """
    section = Section(config, "train", [field.name for field in fields(TrainSettings)])
    steps = section.integer("steps", 1)
    batch_size = section.integer("batch_size", 1)
    if batch_size % world_size:
        raise section.refuse("batch_size", f"choose a multiple of the {world_size} processes")
    return TrainSettings(
        denoiser=section.choice("denoiser", denoisers),
        dir=section.path("dir"),
        init=None if section.raw("init") is None else section.text("init"),
        grow=_grow(section),
        steps=steps,
        batch_size=batch_size,
        learning_rate=section.number("learning_rate", 0.0),
        warmup_steps=section.integer("warmup_steps", 0),
        decay_steps=_decay_steps(section, steps),
        weight_decay=section.number("weight_decay", 0.0),
        grad_clip=section.number("grad_clip", 0.0),
        ema_decay=section.number("ema_decay", 0.0, 1.0),
        label_dropout=section.number("label_dropout", 0.0, 1.0),
        timesteps=_span(section, "timesteps"),
        focus=_span(section, "focus"),
        focus_share=section.number("focus_share", 0.0, 1.0),
        noise_weight_limit=section.number("noise_weight_limit", 1.0),
        teacher=_teacher(section, denoisers),
        dtype=section.choice("dtype", ("fp32", "bf16")),
        compile=section.flag("compile"),
        seed=section.integer("seed", 0, MAX_SEED),
        device=section.choice("device", DEVICES),
        workers=section.integer("workers", 0),
        latents=section.choice("latents", ("encode", "cache")),
        flip=section.flag("flip"),
        checkpoint_every=section.integer("checkpoint_every", 1),
        log_every=section.integer("log_every", 1),
        sample_every=section.integer("sample_every", 0),
        snapshots=section.integers("snapshots", 1, steps),
    )


def _span(section: Section, name: str) -> tuple[int, int]:
    span = section.integers(name, 0, NUM_TIMESTEPS)
    if len(span) != 2 or span[0] >= span[1]:
        raise section.refuse(name, f"give [first,end] with 0 <= first < end <= {NUM_TIMESTEPS}")
    return span[0], span[1]


def _grow(section: Section) -> bool:
    grow = section.flag("grow")
    if grow and section.raw("init") in (None, "random"):
        raise section.refuse("grow", "give the smaller network's weights by train.init")
    return grow


def _teacher(section: Section, denoisers: list[str]) -> str | None:
    if section.raw("teacher") is None:
        return None
    return section.choice("teacher", [n for n in denoisers if n != section.raw("denoiser")])


def _decay_steps(section: Section, steps: int) -> int:
    if section.raw("decay_steps") is None:
        return steps // 5
    return section.integer("decay_steps", 0, steps)
