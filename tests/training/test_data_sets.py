"""Data sets as users keep them: what counts, which label it gets, and what ends in one line."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset, TensorDataset

from tstitch.config.cli import compose
from tstitch.data.datasets import StepBatches, batches
from tstitch.data.items import CheckedItems
from tstitch.runtime.errors import UserError
from tstitch.training.dataset import open_data
from tstitch.training.run import parse_pair, run_training

SIZE = 16
NETWORK = "pair.denoisers.small.network"


@pytest.fixture
def folder(tmp_path):
    """Class folders dog and frog with four grey images each."""
    for number, name in enumerate(("dog", "frog")):
        for index in range(4):
            put(tmp_path / "data" / name / f"{index}.png", 80 * number + index)
    return tmp_path / "data"


def put(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(value).integers(0, 60, (SIZE, SIZE, 3))
    Image.fromarray((value + noise).astype(np.uint8)).save(path)


@pytest.fixture
def words(folder, tmp_path):
    """words(*more): overrides of two steps on those images in pixel space."""

    def build(*more: str) -> list[str]:
        fields = ["steps=2", "decay_steps=0", "batch_size=8", "device=cpu", "sample_every=0",
                  "dtype=fp32", f"dir={tmp_path / 'run'}", "denoiser=small"]  # fmt: skip
        return [
            "data=image_folder", f"data.folder={folder}", f"data.size={SIZE}",
            "pair.space.channels=3", f"pair.space.size={SIZE}", "pair.classes=[cat,dog,frog]",
            f"{NETWORK}.hidden_size=16", f"{NETWORK}.depth=1", f"{NETWORK}.patch_size=4",
            *(f"train.{field}" for field in fields), *more,
        ]  # fmt: skip

    return build


def opened(words: list[str]):
    config = compose("train", words)
    return open_data(config["data"], parse_pair(config["pair"]))


def error_of(function, *args) -> str:
    with pytest.raises(UserError) as caught:
        function(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_classes_are_found_by_name(words, caplog):
    """Catches: dog trained as cat because it is the first folder; a missing class that nobody
    mentions."""
    dataset = opened(words())
    assert [dataset[i][1] for i in range(8)] == [1] * 4 + [2] * 4
    assert "data: no images of 1 of the pair's 3 classes (cat)" in caplog.text


def test_extra_class_folder_is_refused_by_name(words, folder):
    """Catches: a class that moves the labels of those after it."""
    put(folder / "eel" / "0.png", 0)
    message = error_of(opened, words())
    assert message.startswith("data: has classes that the pair has not (eel); pair.classes has cat")


def test_hidden_folders_are_no_classes(words, folder, caplog):
    """Catches: .ipynb_checkpoints as a class of its own, and "label 2" after the first steps."""
    put(folder / ".ipynb_checkpoints" / "0-checkpoint.png", 0)
    put(folder / "dog" / ".ipynb_checkpoints" / "0-checkpoint.png", 0)
    (folder / "frog" / "broken.png").symlink_to("nowhere.png")
    dataset = opened(words())
    assert len(dataset) == 8 and [dataset[i][1] for i in range(8)] == [1] * 4 + [2] * 4
    assert (
        "3 of 11 files are left out: 2 hidden (.ipynb_checkpoints/0-checkpoint.png)" in caplog.text
    )


def test_class_folder_without_images_is_named(words, folder):
    """Catches: a class that is trained on nothing."""
    (folder / "cat").mkdir()
    (folder / "cat" / "notes.txt").write_text("none yet")
    message = error_of(opened, words())
    assert message.startswith(f"data.folder={folder}: class folder cat holds no image (1 of 9")


def test_images_outside_class_folders_are_named(words, folder, caplog, tmp_path):
    """Catches: images that are ignored without a word; a message that blames the number of them."""
    put(folder / "loose.png", 0)
    assert len(opened(words())) == 8 and "1 images in no class folder are left out" in caplog.text
    put(tmp_path / "flat" / "0.png", 0)
    message = error_of(opened, words(f"data.folder={tmp_path / 'flat'}"))
    assert "its 1 images are in no class folder; give a folder with one per class" in message


def damage(path, kind: str) -> None:
    raw = path.read_bytes()
    if kind == "deep":
        Image.fromarray(np.full((SIZE, SIZE), 40000, np.uint16)).save(path)
    else:
        path.write_bytes({"cut": raw[:-40], "empty": b"", "text": b"no image"}[kind])


@pytest.mark.parametrize("kind", ["cut", "empty", "text", "deep"])
@pytest.mark.parametrize("workers", [0, 2])
def test_damaged_image_is_named(words, folder, kind, workers):
    """Catches: Pillow's traceback, or that of a loading process; 16 bits clipped to white."""
    damage(folder / "frog" / "2.png", kind)
    message = error_of(run_training, compose("train", words(f"train.workers={workers}")))
    assert message.startswith(f"data.folder={folder}: frog/2.png "), message
    assert ";" in message


@pytest.mark.slow
def test_damaged_image_on_the_command_line(words, folder, run_script):
    """Catches: a traceback, exit code 1."""
    damage(folder / "frog" / "2.png", "cut")
    done = run_script("train.py", *words("train.workers=1"))
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and f"data.folder={folder}: frog/2.png cannot be read" in lines[0]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_damaged_image_of_one_rank_ends_all(words, folder, run_script):
    """Catches: a rank that waits for ever for the gradients of one that has stopped, and a line
    that only rank 0 could have printed."""
    damage(folder / "frog" / "2.png", "cut")
    damage(folder / "dog" / "1.png", "empty")
    done = run_script("train.py", *words("train.batch_size=2", "train.steps=20"), processes=2)
    lines = [line for line in done.stderr.splitlines() if re.search("error: data.folder=", line)]
    assert done.returncode != 0 and len(lines) == 1, done.stderr
    assert "exitcode  : 2" in done.stderr and "exitcode  : 1" not in done.stderr
    assert not [line for line in done.stderr.splitlines() if "/tstitch/" in line]


class Foreign(Dataset):
    """Somebody's own data set, wrong in one way."""

    classes = None

    def __init__(self, items) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index):
        if isinstance(self.items[index], Exception):
            raise self.items[index]
        return self.items[index]


IMAGE = torch.zeros(3, 8, 8, dtype=torch.uint8)
FOREIGN = {
    "raises": (KeyError("caption"), "cannot be read (KeyError: 'caption'); check the data set"),
    "lines": (RuntimeError("a\nb"), "cannot be read (RuntimeError: a b)"),
    "floats": ((IMAGE / 255, 0), "the image of item 1 is Tensor of torch.float32 (3, 8, 8); give"),
    "array": ((IMAGE.numpy(), 0), "is ndarray of uint8"),
    "picture": ((Image.new("RGB", (8, 8)), 0), "is a Image"),
    "no label": (IMAGE, "item 1 is Tensor"),
    "mapping": ({"image": IMAGE, "label": 0}, "item 1 is a dict"),
    "float label": ((IMAGE, 1.0), "the label of item 1 is 1.0"),
    "no number": ((IMAGE, "dog"), "the label of item 1 is 'dog'"),
    "true": ((IMAGE, True), "the label of item 1 is True"),
    "negative": ((IMAGE, -1), "has label -1, the pair only 0 to 9"),
    "large": ((IMAGE, torch.tensor(10)), "has label 10, the pair only 0 to 9"),
    "size": ((IMAGE[:, 1:], 0), "the image of item 1 is (3, 7, 8), that of item 0 (3, 8, 8)"),
}


@pytest.mark.parametrize("case", FOREIGN)
@pytest.mark.parametrize("workers", [0, 1])
def test_items_of_other_kinds_are_one_line(case, workers):
    """Catches: images of 0..1 divided by 127.5, a label that is the null class, a traceback of
    somebody else's code."""
    wrong, says = FOREIGN[case]
    items = CheckedItems(Foreign([(IMAGE, np.int64(3)), wrong]), num_classes=10)
    assert items[0][1] == 3
    sampler = StepBatches(2, batch_size=2, seed=0, steps=range(1), rank=0, world=1)
    message = error_of(lambda: list(batches(items, sampler, workers)))
    assert message.startswith("data: ") and says in message, message


def test_first_item_is_checked_at_once():
    """Catches: an error after the models were loaded."""
    assert "give (image, label)" in error_of(CheckedItems, Foreign([(IMAGE / 255, 0)]))
    assert "data: holds no images" in error_of(CheckedItems, Foreign([]))
    assert "has no length" in error_of(CheckedItems, iter([]))


def own_tensors(label: int, dtype: str) -> TensorDataset:
    """A data set that a configuration names."""
    images = torch.zeros(4, 1, 28, 28, dtype=getattr(torch, dtype))
    return TensorDataset(images, torch.tensor([0, 1, 2, label]))


@pytest.mark.parametrize(
    ("label", "dtype", "says"),
    [(10, "uint8", "has label 10"), (-1, "uint8", "has label -1"), (0, "float32", "float32")],
)
def test_tensors_are_checked_before_the_first_step(monkeypatch, label, dtype, says):
    """Catches: a label beyond the classes found after hours, or -1, an index error in torch."""
    target = f"{__name__}.own_tensors"
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    section = {"_target_": target, "label": label, "dtype": dtype}
    pair = parse_pair(compose("train", [])["pair"])
    message = error_of(open_data, section, pair)
    assert message.startswith("data: ") and says in message, message


class Named(Dataset):
    """Two images of labels 0 and 1, whose names are given in one of the ways that there are."""

    def __init__(self, **names) -> None:
        vars(self).update(names)

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index):
        return torch.zeros(3, SIZE, SIZE, dtype=torch.uint8), index


def build_named(kind):
    return {
        "array": lambda: Named(classes=np.array(["frog", "dog"])),
        "mapping": lambda: Named(classes={"dog": 1, "frog": 0}),
        "index decides": lambda: Named(classes=["dog", "frog"], class_to_idx={"dog": 1, "frog": 0}),
        "index with gaps": lambda: Named(classes=["frog", "dog"], class_to_idx={"dog": 7}),
        "numbers": lambda: Named(classes=[2, 1]),
        "part": lambda: Subset(Subset(Named(classes=["frog", "dog"]), [0, 1]), [0, 1]),
        "missing file": lambda: Path("nowhere").stat(),
        "no length": lambda: type("Odd", (Named,), {"__len__": lambda self: 1 // 0})(),
    }[kind]()


BUILD = f"{__name__}.build_named"


@pytest.mark.parametrize(
    "kind", ["array", "mapping", "index decides", "index with gaps", "numbers", "part"]
)
def test_names_in_every_form(words, kind):
    """Catches: frog trained as cat where the names are no list, in another order than the labels,
    or those of a data set of which this is a part."""
    pair = parse_pair(compose("train", words())["pair"])
    dataset = open_data({"_target_": BUILD, "kind": kind}, pair)
    assert [dataset[index][1] for index in (0, 1)] == [2, 1]


@pytest.mark.parametrize(
    ("kind", "reason"), [("missing file", "No such file"), ("no length", "ZeroDivisionError")]
)
def test_what_a_data_set_raises_at_once_is_one_line(words, kind, reason):
    """Catches: the traceback of torchvision's folders for a path that is not there."""
    pair = parse_pair(compose("train", words())["pair"])
    assert reason in error_of(open_data, {"_target_": BUILD, "kind": kind}, pair)
