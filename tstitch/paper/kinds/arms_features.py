"""How alike a U-Net's features are from step to step: its encoder's and its decoder's.

What shared encoders rest on: those of the encoder change less (Faster Diffusion, arXiv 2312.09608,
Fig. 3; TiUE, arXiv 2505.21960, Fig. 2).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from evaluation.cost.timing import StageTimer
from evaluation.metrics.jackknife import Interval, interval
from tstitch.maker.batches import draw_unit
from tstitch.maker.units import cut
from tstitch.run.shared_models import SharedModels
from tstitch.runtime import distributed
from tstitch.sampling.experiment import PairExperiment
from tstitch.sampling.loaded_pair import LoadedPair


@dataclass(frozen=True, slots=True)
class FeatureCourse:
    """Cosine similarity of neighbouring steps, mean over the blocks of a part."""

    timesteps: list[float]  # of the later step of each two
    encoder: list[list[float]]  # (steps - 1, images)
    decoder: list[list[float]]

    def gap(self) -> Interval:
        """Encoder's minus decoder's, mean over steps; the jackknife over images."""
        parts = [torch.tensor(part, dtype=torch.float64) for part in (self.encoder, self.decoder)]
        each = (parts[0] - parts[1]).mean(0)
        rest = (each.sum() - each) / (len(each) - 1)
        return interval(float(each.mean()), rest.tolist())

    def means(self) -> tuple[float, float]:
        """Of the encoder and of the decoder."""
        encoder, decoder = (torch.tensor(p).mean().item() for p in (self.encoder, self.decoder))
        return encoder, decoder


def can_be_watched(experiment: PairExperiment) -> bool:
    """Whether it is a run of whole evaluations of one U-Net, at least two."""
    used = [name for name, steps in experiment.steps_per_denoiser.items() if steps]
    splits = {spec.name: spec.splits for spec in experiment.pair.denoisers}
    whole = experiment.propagation is None and len(experiment.schedule) > 1
    return whole and len(used) == 1 and splits[used[0]]


def look_at_features(experiment: PairExperiment, images: int) -> FeatureCourse:
    """Along the trajectories of the first images; every rank calls it alike, rank 0 looks.

    Args:
        experiment: one that `can_be_watched`.
    """
    shared = SharedModels(experiment)
    loaded: LoadedPair = distributed.everywhere(lambda: experiment.load(shared.engine))
    [used] = [name for name, steps in experiment.steps_per_denoiser.items() if steps]
    unet: Any = loaded.networks[used].network
    return distributed.on_main(lambda: _look(experiment, loaded, unet, images))


@torch.inference_mode()
def _look(experiment: Any, loaded: LoadedPair, unet: Any, images: int) -> FeatureCourse:
    maker = experiment.maker(loaded)
    every: tuple[list[Tensor], list[Tensor]] = ([], [])
    for unit in cut(images, experiment.run.batch_size):
        batch, _ = draw_unit(maker, unit)
        with Watch(unet).watching() as watch:
            maker.sample(batch, StageTimer(maker.engine.device)).wait()
        for part, courses in zip(every, watch.courses, strict=True):
            rows = torch.stack(courses)  # (steps - 1, images, or twice as many where guided)
            part.append(rows.unflatten(1, (-1, len(batch.y))).mean(1)[:, : len(unit)])
    encoder, decoder = (torch.cat(part, dim=1).tolist() for part in every)
    return FeatureCourse([step.t for step in maker.sampler.plan][1:], encoder, decoder)


class Watch:
    """Compares what each block gives with what it gave at the step before."""

    def __init__(self, unet: Any) -> None:
        encoder = [*unet.down_blocks, *([unet.mid_block] if unet.mid_block is not None else [])]
        self._parts: Sequence[Sequence[nn.Module]] = (encoder, list(unet.up_blocks))
        self._before: dict[nn.Module, Tensor] = {}
        # By part: the cosines of each two steps (N,), mean over its blocks.
        self.courses: tuple[list[Tensor], list[Tensor]] = ([], [])

    @contextmanager
    def watching(self) -> Iterator["Watch"]:
        """Watches the forward passes within."""
        handles = []
        for part, blocks in zip(self.courses, self._parts, strict=True):
            found: list[Tensor] = []
            for block in blocks:
                handles.append(block.register_forward_hook(self._hook(found, part, len(blocks))))
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, found: list[Tensor], course: list[Tensor], count: int) -> Any:
        def hook(block: nn.Module, _inputs: Any, output: Any) -> None:
            now = (output[0] if isinstance(output, tuple) else output).flatten(1).float()
            before = self._before.get(block)
            self._before[block] = now
            if before is None:
                return
            found.append(cosine_similarity(now, before, dim=1).cpu())
            if len(found) == count:
                course.append(torch.stack(found).mean(0))
                found.clear()

        return hook
