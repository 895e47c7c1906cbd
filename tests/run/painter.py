"""A maker of images without denoisers: each is the grey that its prompt names, with some grain.

The coarse brush, which comes first, leaves more grain than the fine one.
"""

from dataclasses import dataclass

import numpy as np

from evaluation.cost.flops import NetworkCost
from samplers import PerImageRandomness
from tstitch.config.settings import RunSettings
from tstitch.engine.settings import EngineSettings
from tstitch.maker.identity import Identity
from tstitch.maker.protocol import DECODE, DENOISE, LOOP, Experiment, Weights
from tstitch.scoring.settings import EvaluationSettings
from tstitch.tracking.tracker import TrackingSettings

STROKES, GREYS = 4, {"black": 40, "grey": 128, "white": 215}
GRAIN = {"coarse": 4, "fine": 1}  # of one stroke


@dataclass(frozen=True, slots=True, kw_only=True)
class Painting(Experiment):
    """Four strokes of two brushes."""

    @classmethod
    def parse(cls, config, stitched=True):
        pair = config["pair"]
        coarse = round(STROKES * config["stitch"]["fraction"]) if stitched else 0
        return cls(
            config=config,
            run=RunSettings.parse(config["run"], context={"num_classes": len(pair["words"])}),
            engine=EngineSettings.parse(config["engine"]),
            evaluation=EvaluationSettings.parse(config["evaluation"]),
            tracking=TrackingSettings.parse(config["tracking"]),
            name=pair["name"],
            image_shape=(28, 28),
            conditions=tuple(pair["words"]),
            has_prompts=True,
            denoisers={"coarse": 1, "fine": 1},
            schedule=(0,) * coarse + (1,) * (STROKES - coarse),
            title="painting",
        )

    def with_stitch(self, section):
        return type(self).parse(self.config | {"stitch": section})

    def folder_name(self, schedule):
        return f"painting-{schedule}"

    def protocol(self):
        return {"stitch": self.config["stitch"]}

    def costs(self):
        return {"coarse": NetworkCost(10, 1000), "fine": NetworkCost(40, 4000)}

    def fetch(self):
        return None

    def weights(self):
        return {"coarse": Weights("of hog"), "fine": Weights("of sable")}

    def identity(self, weights, engine):
        run = {"seed": self.run.seed, "classes": self.config["run"]["classes"]}
        own = {"words": list(self.conditions), "schedule": list(self.schedule), "run": run}
        own |= {"weights": {n: w.sha256 for n, w in weights.items()}, "engine": engine.identity()}
        return Identity(own)

    def load(self, engine):
        return engine

    def maker(self, loaded):
        return Painter(self, loaded)


class Painter:
    """An ImageMaker."""

    def __init__(self, experiment, engine):
        self.experiment, self.engine = experiment, engine

    def prepare(self):
        return {}

    def draw(self, indices, labels, *, seed):
        side, _ = self.experiment.image_shape
        grain = PerImageRandomness(seed, indices, (side, side, 1)).initial()
        return grain.numpy(), [GREYS[self.experiment.conditions[label]] for label in labels]

    def sample(self, batch, timer):
        grain, levels = batch
        values = np.reshape(levels, (-1, 1, 1, 1)) + 4 * grain
        with timer.stage(LOOP):
            for name, strokes in self.experiment.steps_per_denoiser.items():
                if strokes:
                    with timer.stage(DENOISE + name):
                        values = values + GRAIN[name] * strokes * grain
        with timer.stage(DECODE):
            return Painted(np.repeat(values.clip(0, 255).astype(np.uint8), 3, axis=3))


class Painted:
    """Images that are there already."""

    def __init__(self, images):
        self._images = images

    def wait(self):
        return self._images
