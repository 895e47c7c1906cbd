"""Sections of the configuration: declared once, refused in one form."""

from typing import Annotated

import pytest
from pydantic import model_validator

from tstitch.benchmark.frechet import BenchmarkSettings as FrechetSettings
from tstitch.benchmark.settings import BenchmarkSettings
from tstitch.config import fields
from tstitch.config.cli import compose
from tstitch.config.settings import GuidanceSection, RunSettings
from tstitch.engine.settings import EngineSettings
from tstitch.paper.figure.settings import Reproduction
from tstitch.runtime.errors import UserError
from tstitch.scoring.make_reference import ReferenceSettings
from tstitch.scoring.run import EvaluateSettings
from tstitch.scoring.settings import EvaluationSettings
from tstitch.sweep.settings import SweepSettings
from tstitch.tracking.tracker import TrackingSettings
from tstitch.training.classifier import ClassifierSettings
from tstitch.training.settings import TrainSettings

DECLARED = [
    ("sample", RunSettings),
    ("sample", GuidanceSection),
    ("sample", EngineSettings),
    ("sample", EvaluationSettings),
    ("sample", TrackingSettings),
    ("sweep", SweepSettings),
    ("train", TrainSettings),
    ("train_classifier", ClassifierSettings),
    ("benchmark", BenchmarkSettings),
    ("benchmark_frechet", FrechetSettings),
    ("evaluate", EvaluateSettings),
    ("reference", ReferenceSettings),
    ("reproduce", Reproduction),
]

# What a pair may name, and what is for images of prompts.
OPTIONAL = (GuidanceSection, EvaluationSettings)


@pytest.mark.parametrize(("root", "model"), DECLARED, ids=lambda v: getattr(v, "__name__", v))
def test_yaml_names_every_field(root, model):
    """Catches: a setting that the yaml does not tell of, a default in a second place."""
    words = ["samples=x"] if root == "evaluate" else []
    config = compose(root, words)
    section = config[model.path] if model.path else config
    fields = [name for name in model.model_fields if name not in model.computed]
    assert set(section) == set(fields)
    required = {name for name in fields if model.model_fields[name].is_required()}
    assert required == set(fields) or model in OPTIONAL


class Part(fields.Settings):
    size: fields.Count
    name: fields.Text | None


class Whole(fields.Settings):
    path = "whole"
    computed = ("found",)

    parts: tuple[Part, ...]
    shares: Annotated[tuple[float, ...], fields.numbers(0, 1)] = ()
    found: int = 0

    @model_validator(mode="after")
    def _check_sum(self):
        if sum(self.shares) > 1:
            raise fields.refusal("shares", "must not add up to more than 1")
        return self


PART = {"size": 1, "name": None}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (5, "whole=5: expected a section with parts, shares"),
        ({"parts": [5]}, "whole.parts.0=5: expected a section with size, name"),
        ({"foo": 1}, "whole.foo: unknown key; choose one of parts, shares"),
        ({"parts": [], "found": 1}, "whole.found: unknown key; choose one of parts, shares"),
        ({"shares": 5}, "whole.parts: missing; give it a value"),
        ({"parts": [PART, {"size": 1}]}, "whole.parts.1.name: missing; give it a value"),
        (
            {"parts": [PART | {"size": True}]},
            "whole.parts.0.size=True: choose a whole number of at least 1",
        ),
        (
            {"parts": [PART | {"name": 1.5}]},
            "whole.parts.0.name=1.5: give a non-empty text; what looks like a number in quotes, "
            "'whole.parts.0.name=\"1.5\"'",
        ),
        (
            {"parts": [], "shares": [0.5, "a\nb"]},
            "whole.shares=[0.5, 'a\\nb']: give a list of numbers from 0 to 1",
        ),
        (
            {"parts": [], "shares": [0.5, 1]},
            "whole.shares=[0.5, 1]: must not add up to more than 1",
        ),
    ],
)
def test_one_form_of_errors(config, message):
    """Catches: pydantic's own words, a field without its section, a value that is not the one that
    was given, a missing field told after a bad one."""
    with pytest.raises(UserError) as caught:
        Whole.parse(config)
    assert str(caught.value) == message


def test_checked_settings_stay():
    """Catches: a setting that changes after it was checked; numbers left as they were written."""
    whole = Whole.parse({"parts": [PART], "shares": [1]})
    assert whole.shares == (1.0,) and isinstance(whole.shares[0], float)
    with pytest.raises(ValueError, match="frozen"):
        whole.shares = ()
