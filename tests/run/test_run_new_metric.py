"""A metric of one's own: one object in the list of metrics, and it is in everything written."""

import csv
import json

import pytest

from evaluation.metrics.catalogue import METRICS
from evaluation.metrics.comparison import ReferenceStatistics, Samples
from evaluation.metrics.metric import Estimate, Metric
from tstitch.config.cli import compose
from tstitch.sweep.run import run_sweep


def largest_feature(samples: Samples, _reference: ReferenceStatistics) -> Estimate | None:
    """Mean over the images of their largest feature."""
    features = samples.all("pool")
    if features is None:
        return None
    largest, numbers = features.max(1).values, samples.numbers
    without = [float(largest[numbers != g].mean()) for g in range(int(numbers.max()) + 1)]
    return Estimate(float(largest.mean()), tuple(without))


MADE_UP = Metric(
    "largest", "largest feature", higher_is_better=False, estimate=largest_feature, headline=True
)
OUT_OF_REACH = Metric(
    "unheard", "unheard of", higher_is_better=True, kinds=("sound",),
    estimate=lambda samples, reference: pytest.fail("its features are not there"),
)  # fmt: skip


@pytest.fixture
def listed():
    METRICS.extend([MADE_UP, OUT_OF_REACH])
    yield
    del METRICS[-2:]


def test_new_metric_is_everywhere(listed, tmp_path, tiny, measured, caplog):
    """Catches: a place that knows the metrics by name, so that a new one is left out of it."""
    words = [*tiny, *measured, f"run.root={tmp_path}/runs", "sweep.fractions=[0,1]"]
    with caplog.at_level("INFO"):
        folder = run_sweep(compose("sweep", [*words, "sweep.strip=0", "sweep.timing_rounds=0"]))
    name = "largest feature (Fashion-MNIST classifier)"
    assert f"; {name} " in caplog.text
    rows = list(csv.DictReader((folder / "points.csv").open()))
    columns = list(rows[0])
    assert columns.index("fid") < columns.index("largest") < columns.index("inception_score")
    for row in rows:
        run = (folder / row["run_dir"]).resolve()
        found = json.loads((run / "evaluation.json").read_text())["metrics"]
        assert list(found)[-1] == "largest" and "unheard" not in found
        entry = found["largest"]
        assert entry["name"] == row["largest_name"] == name
        assert entry["value"] == float(row["largest"]) and len(entry["replicates"]) == 6
        assert entry["low"] < entry["value"] < entry["high"]
        assert f"| {name} |" in (run / "report.md").read_text()
    change = float(rows[1]["largest"]) - float(rows[0]["largest"])
    assert float(rows[1]["largest_difference"]) == pytest.approx(change)
    assert f"| {name} |" in (folder / "report.md").read_text()
    page = (folder / "report.html").read_text()
    assert '"id":"metric-largest"' in page
    assert "largest feature <small>(Fashion-MNIST classifier), lower is better</small>" in page
