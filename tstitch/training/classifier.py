"""`scripts/train_classifier.py`: trains the classifier whose features measure the samples."""

import csv
import io
import logging
import os
import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import BeforeValidator
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from evaluation.features.classifier import SIDE, Classifier
from models.checkpoints import CheckpointError, save_weights
from tstitch.config import fields
from tstitch.config.cli import instantiate
from tstitch.config.settings import Device
from tstitch.data.datasets import SPLITS, epoch_order
from tstitch.files.writing import write_text, writing_to
from tstitch.pair.weights import fetch_weights, fill_network
from tstitch.runtime import distributed
from tstitch.runtime.device import choose_device
from tstitch.runtime.errors import UserError
from tstitch.training.ema import Ema

MOMENTUM = 0.9
TEST_BATCH = 500
SUFFIX = ".safetensors"
log = logging.getLogger(__name__)


def _weights_file(value: Any) -> Path:
    path = Path(fields.text(value)).expanduser()
    if path.suffix != SUFFIX or path.is_dir():
        raise ValueError(f"name a file that ends in {SUFFIX}")
    return path


class ClassifierSettings(fields.Settings):
    """How to train the classifier; the fields are described in configs/train_classifier.yaml."""

    path = "classifier"

    out: Annotated[Path, BeforeValidator(_weights_file)]
    init: fields.Text | None
    epochs: fields.Count
    batch_size: Annotated[int, fields.whole(2)]  # of one image there is no batch norm
    learning_rate: fields.NotNegative
    warmup: Annotated[float, fields.number(0, 0.9)]
    weight_decay: fields.NotNegative
    ema_decay: fields.Share
    flip: fields.Flag
    shift: Annotated[int, fields.whole(0, SIDE // 4)]
    seed: fields.Seed
    device: Device

    def learning_rate_at(self, progress: float) -> float:
        """Linear from zero, then linear to zero; progress in 0..1 of all steps."""
        up = progress / self.warmup if self.warmup else 1.0
        return self.learning_rate * min(up, (1.0 - progress) / (1.0 - self.warmup))


def run_classifier_training(config: dict[str, Any]) -> None:
    """Trains on the data's `train` split, reports the accuracy on `test`, keeps the last weights.

    The test images decide nothing. The same configuration gives the same weights on the same
    machine.

    Raises:
        UserError: a bad value, unsuitable data, several processes, a folder without room.
    """
    fields.check_sections(config, ("data", "classifier"))
    settings = ClassifierSettings.parse(config["classifier"])
    if distributed.world_size() > 1:
        raise UserError("scripts/train_classifier.py: one process only; start it with plain python")
    device = choose_device(settings.device, "classifier.device")
    train, test = (_open_split(config["data"], split) for split in SPLITS)
    num_classes = int(train.tensors[1].max()) + 1
    if num_classes <= int(test.tensors[1].max()):
        raise UserError("data: the test split has classes that the train split lacks; check it")
    torch.manual_seed(settings.seed)
    network = Classifier(num_classes)
    if settings.init is not None:
        path = fetch_weights(settings.init, None, "classifier.init")
        fill_network(network, path, "classifier.init")
    _make_folder(settings)
    rows = fit(network.to(device), train, test, settings)
    _export(network, settings, rows)
    log.info("%s: test accuracy %.2f %%", settings.out, 100.0 * rows[-1]["test_accuracy"])


def fit(
    network: Classifier, train: TensorDataset, test: TensorDataset, settings: ClassifierSettings
) -> list[dict[str, float]]:
    """Trains in place; leaves the averaged weights.

    Returns:
        A row per epoch: epoch, loss (mean over the epoch), test_accuracy (0..1), seconds.
    """
    device = next(network.parameters()).device
    images, labels = train.tensors
    optimizer = torch.optim.SGD(
        network.parameters(), 0.0, MOMENTUM, weight_decay=settings.weight_decay, nesterov=True
    )
    average = Ema(network, settings.ema_decay)
    averaged = Classifier(network.head.out_features).to(device)
    draws = torch.Generator().manual_seed(settings.seed)
    # The last, smaller batch of an epoch is left out, unless it is the only one.
    size = min(settings.batch_size, len(images))
    per_epoch = len(images) // size
    rows = []
    for epoch in range(settings.epochs):
        begin, total = time.perf_counter(), 0.0
        order = torch.from_numpy(epoch_order(len(images), settings.seed, epoch))
        network.train()
        for number, indices in enumerate(order.split(size)[:per_epoch]):
            progress = (epoch * per_epoch + number) / (settings.epochs * per_epoch)
            optimizer.param_groups[0]["lr"] = settings.learning_rate_at(progress)
            batch = augmented(images[indices], settings.flip, settings.shift, draws)
            loss = F.cross_entropy(network(batch.to(device)), labels[indices].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            average.update(network, epoch * per_epoch + number)
            total += float(loss.detach())
        averaged.load_state_dict(average.weights)
        rows.append({
            "epoch": epoch + 1,
            "loss": total / per_epoch,
            "test_accuracy": accuracy(averaged, test),
            "seconds": time.perf_counter() - begin,
        })  # fmt: skip
        log.info("epoch %(epoch)d: loss %(loss).4f, test accuracy %(test_accuracy).4f", rows[-1])
    network.load_state_dict(average.weights)
    return rows


def augmented(images: Tensor, flip: bool, shift: int, draws: torch.Generator) -> Tensor:
    """Each of uint8 images (N, 1, H, W) moved over black by up to `shift` pixels, half mirrored."""
    count, _, height, width = images.shape
    rows, columns = (
        torch.randint(0, 2 * shift + 1, (count, 1), generator=draws) + torch.arange(side)
        for side in (height, width)
    )
    mirrored = torch.rand(count, 1, generator=draws) < 0.5
    columns = torch.where(mirrored & flip, columns.flip(1), columns)
    padded = F.pad(images[:, 0], (shift,) * 4)
    which = torch.arange(count)[:, None, None]
    return padded[which, rows[:, :, None], columns[:, None, :]][:, None]


@torch.no_grad()
def accuracy(network: nn.Module, data: TensorDataset) -> float:
    """Part of the images whose class is predicted right; leaves the network in eval mode."""
    device = next(network.parameters()).device
    images, labels = data.tensors
    network.eval()
    predicted = [network(batch.to(device)).argmax(1).cpu() for batch in images.split(TEST_BATCH)]
    return float((torch.cat(predicted) == labels).double().mean())


def _open_split(config: Any, split: str) -> TensorDataset:
    """One split of the configured data, whose images must be those that the classifier takes."""
    if not isinstance(config, dict) or config.get("split") != "train":
        raise UserError(
            "data.split: must be train, and the test split is read too; choose "
            "data=fashion_mnist or data=idx_folder"
        )
    data = instantiate({**config, "split": split}, "data")
    shape = tuple(data[0][0].shape) if len(data) else ()
    if not isinstance(data, TensorDataset) or shape != (1, SIDE, SIDE):
        raise UserError(
            f"data: its {split} images are {shape or 'none'}, the classifier takes "
            f"{(1, SIDE, SIDE)}; choose data=fashion_mnist or data=idx_folder"
        )
    return data


def _make_folder(settings: ClassifierSettings) -> None:
    folder = settings.out.parent
    with _writing(settings):
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise UserError(f"classifier.out={settings.out}: its folder is read-only; choose another")


def _export(
    network: Classifier, settings: ClassifierSettings, rows: list[dict[str, float]]
) -> None:
    """Writes the log and the float32 weights, each by temporary name and rename."""
    metadata = {
        "epochs": str(settings.epochs),
        "seed": str(settings.seed),
        "test_accuracy": f"{rows[-1]['test_accuracy']:.4f}",
        "date": datetime.now(UTC).date().isoformat(),
    }
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    for row in rows:
        writer.writerow({name: f"{value:.6g}" for name, value in row.items()})
    path = settings.out.with_suffix(".log.csv")
    with _writing(settings):
        write_text(path, text.getvalue())
        save_weights(network.state_dict(), settings.out, dtype=torch.float32, metadata=metadata)


def _writing(settings: ClassifierSettings) -> AbstractContextManager[None]:
    return writing_to(settings.out, "classifier.out", "choose another", also=(CheckpointError,))
