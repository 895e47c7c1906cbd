"""A student as a denoiser of a pair: what it predicts of pure noise is x_0."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from models.diffusers_denoiser import TEXT, TOKENS, DiffusersDenoiser
from models.folders import find_file, naming, read_scheduler
from models.unet_split import check_splits
from samplers import LoopFree, ScaledLinearVP
from tstitch.distil.plan import ONCE, OneEncoder
from tstitch.distil.process import process_of
from tstitch.distil.record import PLAN, StudentRecord


class Student(DiffusersDenoiser):
    """A U-Net whose encoder runs once, at the first timestep, and its decoders in one batch.

    One evaluation is the whole of sampling: encoder, N decoders and the sum that is x_0. It is
    told no time. To be sampled by `samplers.OnePass`.

    Args:
        source, config: as of DiffusersDenoiser.
        timesteps: of the decoders, noisiest first; None = as the tiue.json beside the config.json
            of the source says.
        clean: whether the last step ends at clean data (else at the noise of t = 0); None = the
            same.
        input_size, in_channels, num_classes: of the pair.

    Raises:
        ValueError: as of DiffusersDenoiser; no plan, one that means nothing, or a network that is
            no student of one encoder; the message begins with name=value.
    """

    one_pass = True

    def __init__(
        self,
        *,
        source: str | None = None,
        config: Mapping[str, Any] | None = None,
        timesteps: Sequence[int] | None = None,
        clean: bool | None = None,
        input_size: int = 64,
        in_channels: int = 4,
        num_classes: int = 1000,
    ) -> None:
        super().__init__(
            source=source,
            config=config,
            input_size=input_size,
            in_channels=in_channels,
            num_classes=num_classes,
        )
        if self.prediction not in (None, "eps"):
            raise ValueError(f"source={source}: predicts {self.prediction}; a student predicts eps")
        if list(self.text_widths) != [TEXT]:
            raise ValueError(f"source={source}: takes more or less than texts, as no student does")
        check_splits(self.network)
        if (timesteps is None) != (clean is None):
            raise ValueError(f"clean={clean}: give it with timesteps, or neither")
        if timesteps is None or clean is None:
            timesteps, clean = _own_plan(source)
        scheduler = read_scheduler(source) if source is not None else None
        process = ScaledLinearVP() if scheduler is None else process_of(scheduler)
        self.plan = OneEncoder(LoopFree.at(process, timesteps, clean=clean))
        self.prediction, self.has_null = "x0", False
        self.identity |= {"timesteps": [*timesteps], "clean": clean}

    @property
    def splits(self) -> bool:
        """False: its encoder runs once as it is."""
        return False

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """x_0 (N, C, H, W).

        Args:
            x: pure noise (N, C, H, W).
            t: not looked at.
            y: indices (N,) int64 into the condition table.
        """
        states = self._rows(self._text, x, y, (TOKENS, self.text_widths[TEXT]))
        return self.plan(self.network, x, states)[0]


def _own_plan(source: str | None) -> tuple[tuple[int, ...], bool]:
    """Timesteps and end of a student's folder."""
    with naming("source"):
        path = None if source is None else find_file(source, PLAN)
    if path is None:
        raise ValueError(
            f"timesteps=None: {source} has no {PLAN}; give timesteps and clean, for the released "
            "students [751,501,251,1] and false"
        )
    record = _read(path)
    if record.encoder != ONCE:
        raise ValueError(
            f"source={source}: is a student with an encoder in each step; sample it with "
            "pair=emoji_m4"
        )
    return record.timesteps, record.clean


def _read(path: Path) -> StudentRecord:
    try:
        return StudentRecord.read(path)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"source={path.parent}: its {PLAN} cannot be read; get it again"
        ) from error
