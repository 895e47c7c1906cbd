"""Sums of stages, and the time per image over batches."""

import pytest
import torch

from evaluation.cost.timing import Seconds, StageTimer, seconds_per_image


def batch(images: int, warmup: bool = False, **seconds: float) -> dict:
    beside = {"write": 100.0 * images}
    return {
        "images": images, "warmup": warmup, "prepared": {"large": 7.0 * images},
        "seconds": seconds, "background": beside,
    }  # fmt: skip


def test_stages_add_up(monkeypatch):
    """Catches: the last block of a stage in place of the sum, stages that are mixed."""
    clock = iter([0.0, 1.0, 10.0, 13.0, 20.0, 20.5, 21.0, 25.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    timer = StageTimer(torch.device("cpu"))
    assert timer.seconds() == {}
    for name in ("denoise/small", "denoise/large", "denoise/small"):
        with timer.stage(name):
            pass
    assert timer.seconds() == {"denoise/small": 1.5, "denoise/large": 3.0}
    with timer.stage("decode"):
        pass
    assert timer.seconds() == {"denoise/small": 1.5, "denoise/large": 3.0, "decode": 4.0}


def test_nested_stages_count_both():
    """Catches: one start time that an inner stage overwrites."""
    timer = StageTimer(torch.device("cpu"))
    with timer.stage("outer"), timer.stage("inner"):
        pass
    seconds = timer.seconds()
    assert seconds["outer"] >= seconds["inner"] > 0


def test_median_per_image():
    """Catches: a mean, which one slow batch decides; seconds per batch for seconds per image; a
    total with what runs beside the device's work."""
    batches = [batch(4, a=4.0, b=8.0), batch(2, a=4.0, b=2.0), batch(10, a=1000.0, b=30.0)]
    assert seconds_per_image(batches) == Seconds(
        stages={"a": 2.0, "b": 2.0},
        background={"write": 100.0},
        total=3.0,  # of 3, 3 and 103: the median of sums, not the sum of medians; no `write`
        batches=3,
        images=16,
        warmup_included=False,
        prepared={"large": 70.0},  # the slowest process's
    )


def test_total_is_the_median_of_sums():
    """Catches: a total that adds medians of different batches."""
    batches = [batch(1, a=1.0, b=9.0), batch(1, a=9.0, b=1.0), batch(1, a=5.0, b=4.0)]
    result = seconds_per_image(batches)
    assert result.total == 10.0 and sum(result.stages.values()) == 9.0


def test_warm_up_is_left_out():
    """Catches: compilation and first allocations in the reported time."""
    batches = [batch(1, warmup=True, a=60.0), batch(1, a=1.0), batch(1, a=2.0), batch(1, a=3.0)]
    result = seconds_per_image(batches)
    assert (result.total, result.batches, result.images) == (2.0, 3, 3)
    assert not result.warmup_included


def test_only_warm_up_is_said():
    """Catches: an empty median, a warm-up time that passes for a measurement."""
    result = seconds_per_image([batch(2, warmup=True, a=60.0), batch(2, warmup=True, a=40.0)])
    assert result.total == 25.0 and result.warmup_included


def test_stage_that_a_batch_does_not_have():
    """Catches: a denoiser that ran in some batches only, and a KeyError for the others."""
    result = seconds_per_image([batch(1, a=1.0), batch(1, a=1.0, b=2.0), batch(1, b=4.0, a=3.0)])
    assert result.stages == pytest.approx({"a": 1.0, "b": 2.0})
