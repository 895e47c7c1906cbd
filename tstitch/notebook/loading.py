"""A pair's networks, loaded once for any number of settings of sampler, schedule and guidance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tstitch.config.cli import compose
from tstitch.engine.settings import Engine
from tstitch.maker.bootstrap import prepare_process
from tstitch.maker.identity import Identity
from tstitch.maker.parse import parse_experiment
from tstitch.maker.protocol import ImageMaker
from tstitch.maker.step_time import stepped
from tstitch.runtime.errors import UserError, errors_of
from tstitch.schedules.kinds import resolver_of, unresolved

FREE = ("prompts", "negative_prompt", "guidance", "evaluation")  # of a pair: nothing is loaded


@dataclass(frozen=True, slots=True)
class Loaded:
    """A maker of images, and what others over the same networks are made of."""

    words: tuple[str, ...]  # overrides of scripts/sample.py
    config: dict[str, Any]  # that they compose to
    engine: Engine
    networks: Any  # of Experiment.load
    maker: ImageMaker


def load_words(
    words: Sequence[str], before: Loaded | None = None, prompts: Sequence[str] | None = None
) -> Loaded:
    """What makes the images of a configuration; a schedule that is to be measured is measured.

    Args:
        words: overrides; a chosen file of a group takes the place of what `before` has of it.
        before: whose networks are used again, under its words and these.
        prompts: in place of those of the pair.

    Raises:
        UserError: a bad value, or weights that are not there or do not fit; with `before` another
            pair, device, dtype or engine.
    """
    words = followed(() if before is None else before.words, words)
    config = compose("sample", [*words])
    if prompts is not None:
        config["pair"] = config["pair"] | {"prompts": [*prompts]}
    if before is not None:
        _check_same(before.config, config)
    schedule = unresolved(config["stitch"])
    experiment = parse_experiment(config, stitched=schedule is None)
    if before is None:
        engine = prepare_process(experiment)[0]
        networks = experiment.load(engine)
    else:
        engine, networks = before.engine, before.networks
    if schedule is not None:
        with errors_of("stitch."):
            schedule.check(len(experiment.step_evaluations), len(experiment.denoisers))
        measured = stepped(experiment.maker(networks), f"stitch={schedule.name}")
        measured.prepare(every=True)
        found = resolver_of(schedule).resolve(measured, schedule)
        config["stitch"] = config["stitch"] | {"models": found["models"]}
        experiment = parse_experiment(config)
    return Loaded(words, config, engine, networks, experiment.maker(networks))


def followed(before: Sequence[str], words: Sequence[str]) -> tuple[str, ...]:
    """Overrides, then others; without those of a group from which the latter choose a file."""
    groups = [word.partition("=")[0] for word in words if "." not in word.partition("=")[0]]
    gone = tuple(f"{group}{mark}" for group in groups for mark in "=.")
    return (*(word for word in before if not word.startswith(gone)), *words)


def _check_same(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuses what would need other networks, or these on another device."""
    old, new = (Identity(_what_is_loaded(config)) for config in (before, now))
    if different := old.differences(new):
        raise UserError(f"{different[0]}: is decided when a pair is loaded; call load() for it")


def _what_is_loaded(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "pair": {key: value for key, value in config["pair"].items() if key not in FREE},
        "run": {key: config["run"][key] for key in ("device", "dtype")},
        "engine": config["engine"],
    }
