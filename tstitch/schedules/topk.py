"""`stitch=topk`: the small denoiser takes the steps at which it disagrees least (TRACK)."""

from typing import Any

import torch
from torch import Tensor

from evaluation.report.panels import Line, Panel
from samplers.stitch import TopK, least
from tstitch.maker.protocol import SteppedMaker, TracedMaker
from tstitch.runtime.errors import UserError
from tstitch.schedules.calibration import calibration_batches, traced
from tstitch.schedules.resolver import Resolver


class TopKResolver(Resolver[TopK]):
    """One calibration along the trajectories of the large denoiser."""

    def resolve(self, maker: SteppedMaker, schedule: TopK) -> dict[str, Any]:
        traceable = traced(maker, "stitch=topk")
        compare = schedule.compare or traceable.own_prediction
        apart = measure_disagreement(traceable, compare, schedule.inputs, schedule.seed)
        curve = apart.mean(1).tolist()
        return {
            "models": list(least(curve, schedule.steps)),
            "compare": compare,
            "inputs": schedule.inputs,
            "disagreement": curve,
            "spread": apart.std(1, correction=0).tolist(),
        }

    def describe(self, found: dict[str, Any]) -> str:
        models, curve = found["models"], found["disagreement"]
        return (
            f"{models.count(0)} of {len(models)} steps small, by the relative disagreement of "
            f"{found['compare']} on {found['inputs']} inputs, {min(curve):.3g} to {max(curve):.3g}"
        )

    def panels(self, found: dict[str, Any]) -> list[Panel]:
        return [disagreement_panel(found["disagreement"], found["models"], found["compare"])]


def measure_disagreement(maker: TracedMaker, compare: str, inputs: int, seed: int) -> Tensor:
    """TracedMaker.disagreement on images of a calibration, (steps, inputs).

    Raises:
        UserError: predictions that are infinite or not a number.
    """
    batches = calibration_batches(maker, inputs, seed)
    apart = torch.cat([maker.disagreement(batch, compare) for batch in batches], dim=1)
    if not torch.isfinite(apart).all():
        raise UserError(
            f"run.dtype={maker.engine.precision}: predictions are infinite or not a number on the "
            "images of the calibration; choose run.dtype=fp32, or check the weights"
        )
    return apart


def disagreement_panel(curve: list[float], models: list[int], compare: str) -> Panel:
    """Disagreement at each step, by who runs it."""
    lines = []
    for model, name in enumerate(("run by small", "run by large")):
        own = [k for k, m in enumerate(models) if m == model]
        if own:
            lines.append(Line(name, [k + 1 for k in own], [curve[k] for k in own], joined=False))
    return Panel(
        "How far small and large are apart", "step, noisiest first",
        f"relative disagreement of {compare}", lines,
    )  # fmt: skip
