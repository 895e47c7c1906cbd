"""metrics.json: numbers with their protocol."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from evaluation.cost.machine import versions
from evaluation.cost.timing import Seconds, seconds_per_image
from tstitch.engine.settings import Engine
from tstitch.files.record import Record
from tstitch.maker.identity import Identity
from tstitch.maker.protocol import Experiment, SharedEncoder, Weights
from tstitch.maker.provenance import DECIDE, UNKNOWN, Conditions, agreed, grouped

SECTIONS = {"sampler", "stitch", "guidance", "process", "predictions"}


class RunProtocol(Record):
    """How the images were made."""

    pair: str
    num_images: int
    classes: str | list[int]  # as configured
    prompts: int | None = None  # how many, where images are of prompts
    seed: int
    # SECTIONS, of Experiment.protocol:
    sampler: dict[str, Any] | None = None
    stitch: dict[str, Any] | None = None
    guidance: dict[str, Any] | None = None
    process: dict[str, Any] | None = None
    predictions: dict[str, Any] | None = None
    dtype: str
    engine: dict[str, Any]  # its options
    batch_size: int
    # Of the commands that sampled, not of the one that finished; `1 and 2` if they differ.
    processes: int | str
    threads_per_process: int | str
    devices: tuple[str, ...]

    @property
    def method(self) -> dict[str, dict[str, Any]]:
        """The sections of Experiment.protocol: those that mean nothing are left out."""
        return self.model_dump(include=SECTIONS, exclude_unset=True)


class DenoiserMetrics(Record):
    """Steps, size and arithmetic of one denoiser."""

    steps: int | float  # of an online schedule the mean over images, as in what follows from it
    evaluations_per_image: int | float  # also as a guide; classifier-free guidance doubles them
    parameters: int
    flops_per_evaluation: int  # of one image, two per multiply-add
    gmacs_per_evaluation: float
    weights_sha256: str
    weights_entry: str | None = None  # of their file; None = all of it
    steps_range: tuple[int, int] | None = None  # least and most of an image; None = all alike
    # Where steps share an encoding; else the whole network runs in each.
    encoder_evaluations_per_image: int | None = None
    encoder_flops_per_evaluation: int | None = None
    decoder_flops_per_evaluation: int | None = None

    @property
    def flops_per_image(self) -> int | float:
        """Of all its evaluations."""
        count, decoder = self.evaluations_per_image, self.decoder_flops_per_evaluation
        if self.encoder_evaluations_per_image is None or decoder is None:
            return count * self.flops_per_evaluation
        encoder = self.encoder_flops_per_evaluation or 0
        return self.encoder_evaluations_per_image * encoder + count * decoder

    @property
    def mean_gmacs_per_evaluation(self) -> float:
        """What one of an image's evaluations comes to; of the whole network if there are none."""
        if self.encoder_evaluations_per_image is None or not self.evaluations_per_image:
            return self.gmacs_per_evaluation
        return self.flops_per_image / self.evaluations_per_image / 2e9


class RunMetrics(Record):
    """Protocol, arithmetic and times of a finished run."""

    fingerprint: str
    protocol: RunProtocol
    nfe_per_image: int | float
    denoisers: dict[str, DenoiserMetrics]  # small to large
    flops_per_image: int
    gmacs_per_image: float
    flops_ratio_to_all_large: float
    seconds_per_image: Seconds | None  # None = not timed: images of an earlier samples.npz
    timed_in: tuple[Conditions, ...] | None = None  # None = older, see `conditions`
    versions: dict[str, str]

    @property
    def conditions(self) -> tuple[Conditions, ...]:
        """What the times were taken under."""
        seconds = self.seconds_per_image
        if self.timed_in is not None or seconds is None:
            return self.timed_in or ()
        unknown = dict.fromkeys(DECIDE, UNKNOWN)
        return (Conditions(**unknown, batches=seconds.batches, images=seconds.images, load=None),)


def realised(metrics: RunMetrics, experiment: Experiment, steps: np.ndarray) -> RunMetrics:
    """The metrics with what the images of an online schedule have come to.

    Args:
        metrics: by the schedule's costliest course, or of more of the run's images.
        steps: evaluations of the schedule by each denoiser, (N, denoisers).
    """
    means, rows = steps.mean(0, dtype=np.float64).tolist(), metrics.denoisers.items()
    least, most = steps.min(0).tolist(), steps.max(0).tolist()
    evaluations = dict.fromkeys(metrics.denoisers, 0.0)
    for name, mean in zip(metrics.denoisers, means, strict=True):
        for evaluated, count in experiment.evaluations_in_step(name).items():
            evaluations[evaluated] += mean * count
    denoisers = {
        name: row.model_copy(
            update={
                "steps": means[k],
                "evaluations_per_image": evaluations[name],
                "steps_range": (least[k], most[k]),
            }
        )
        for k, (name, row) in enumerate(rows)
    }
    own = list(denoisers.values())
    total = sum(d.evaluations_per_image * d.flops_per_evaluation for d in own)
    return metrics.model_copy(
        update={
            "nfe_per_image": sum(d.evaluations_per_image for d in own),
            "denoisers": denoisers,
            "flops_per_image": round(total),
            "gmacs_per_image": total / 2e9,
            "flops_ratio_to_all_large": total / _all_large(experiment),
        }
    )


def _all_large(experiment: Experiment) -> int:
    """FLOPs of an image by the largest denoiser, and its guide, in every step."""
    costs = experiment.costs()
    step = experiment.evaluations_in_step(list(costs)[-1])
    return len(experiment.schedule) * sum(n * costs[d].flops for d, n in step.items())


def _shared(encoder: SharedEncoder) -> dict[str, int]:
    return {
        "encoder_evaluations_per_image": encoder.evaluations,
        "encoder_flops_per_evaluation": encoder.encoder_flops,
        "decoder_flops_per_evaluation": encoder.decoder_flops,
    }


def collect_metrics(
    experiment: Experiment,
    engine: Engine,
    identity: Identity,
    weights: Mapping[str, Weights],
    times: list[dict[str, Any]],
) -> RunMetrics:
    """Metrics of a finished run, by its schedule.

    Args:
        times: what each shard says of its batch.
    """
    run, costs, shared = experiment.run, experiment.costs(), experiment.shared_encoders()
    timed = [entry for entry in times if entry["seconds"]]
    groups = grouped(timed)
    sections: dict[str, Any] = experiment.protocol()
    if experiment.has_prompts:
        sections = sections | {"prompts": len(experiment.conditions)}
    denoisers = {
        name: DenoiserMetrics(
            steps=experiment.steps_per_denoiser[name],
            evaluations_per_image=experiment.evaluations_per_image[name],
            parameters=cost.parameters,
            flops_per_evaluation=cost.flops,
            gmacs_per_evaluation=cost.flops / 2e9,
            weights_sha256=weights[name].sha256,
            weights_entry=weights[name].entry,
        ).model_copy(update=_shared(shared[name]) if name in shared else {})
        for name, cost in costs.items()
    }
    total = sum(row.flops_per_image for row in denoisers.values())
    return RunMetrics(
        fingerprint=identity.fingerprint,
        protocol=RunProtocol(
            pair=experiment.name,
            num_images=run.num_images,
            classes=experiment.config["run"]["classes"],
            seed=run.seed,
            dtype=engine.precision,
            engine=engine.describe(),
            batch_size=run.batch_size,
            processes=agreed(groups, "processes"),
            threads_per_process=agreed(groups, "threads"),
            devices=tuple(sorted({t["device"] for t in times})),
            **sections,
        ),
        nfe_per_image=experiment.nfe,
        denoisers=denoisers,
        flops_per_image=round(total),
        gmacs_per_image=total / 2e9,
        flops_ratio_to_all_large=total / _all_large(experiment),
        seconds_per_image=seconds_per_image(timed) if timed else None,
        timed_in=tuple(groups),
        versions=versions(),
    )
