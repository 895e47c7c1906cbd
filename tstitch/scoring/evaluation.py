"""evaluation.json: metrics of a set of images against one reference, and their protocol."""

from typing import Self

from evaluation.metrics.measured import Difference, Measured
from tstitch.files.record import Record


class EvaluationIdentity(Record):
    """What decides the values of a set of images."""

    reference: str  # its digest
    extractor: dict[str, str]  # class and weights_sha256
    groups: int  # asked for


class ReferenceProtocol(Record):
    """The real images."""

    label: str
    digest: str  # SHA-256, hexadecimal
    num_images: int | None  # None = their statistics do not say


class EvaluationProtocol(Record):
    """How the values came about."""

    reference: ReferenceProtocol
    extractor: dict[str, str]  # class and weights_sha256
    device: str
    dtype: str
    versions: dict[str, str]


class Evaluation(Record):
    """Metrics of a set of images; a run's have its fingerprint, a command's may have a baseline."""

    fingerprint: str | None = None  # of the run
    identity: EvaluationIdentity | None = None
    space: str  # of the features; empty = Inception's
    num_images: int
    groups: int  # of the jackknife
    metrics: dict[str, Measured]  # by key (evaluation.metrics.catalogue)
    protocol: EvaluationProtocol
    flags: dict[str, str] | None = None  # reason by flag; None = of before there were flags
    baseline: Self | None = None
    differences: dict[str, Difference] | None = None  # to the baseline, by metric
    paired: dict[str, Measured] | None = None  # with the baseline's images (evaluation.paired)
