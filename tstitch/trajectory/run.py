"""`scripts/trajectory.py`: from configuration to a sheet and an animation."""

import logging
from pathlib import Path
from typing import Any

from PIL import Image

from tstitch.api import load
from tstitch.config.cli import chosen_option, given_words
from tstitch.files.pictures import save_image
from tstitch.files.writing import replacing, writing_to
from tstitch.maker.labels import choose_labels
from tstitch.notebook.words import beginning, sampling_words, stitch_word
from tstitch.trajectory.pictures import draw_frames, draw_sheet
from tstitch.trajectory.settings import TrajectorySettings

SHEET, FRAMES = "sheet.png", "steps.gif"
log = logging.getLogger(__name__)


def run_trajectory(config: dict[str, Any]) -> None:
    """Writes sheet.png and steps.gif into trajectory.dir.

    Raises:
        UserError: bad input, or a pair whose trajectories cannot be looked into.
    """
    settings = TrajectorySettings.parse(config["trajectory"])
    folder = Path(settings.dir).expanduser()
    words = sampling_words(given_words(), TrajectorySettings.path)
    pair = chosen_option("pair")
    sampler = load(pair, *beginning(pair, words))
    run, names = sampler.maker.experiment.run, sampler.class_names
    labels = choose_labels(
        run.classes, range(settings.images), seed=run.seed, num_classes=len(names)
    ).tolist()
    made = {}
    for fraction in settings.fractions:
        own = sampler.under(stitch_word(fraction, len(sampler.denoisers)))
        made[fraction] = own.trajectory(labels, seed=run.seed)
        log.info("fraction %g: %s", fraction, own.maker.experiment.steps_per_denoiser)
    texts = [names[label] for label in labels]
    with writing_to(folder, "trajectory.dir", "free space or choose another one"):
        folder.mkdir(parents=True, exist_ok=True)
        save_image(draw_sheet(made, sampler.denoisers, texts, settings.columns), folder / SHEET)
        _save_frames(draw_frames(made, sampler.denoisers, texts), settings.frame_ms, folder)
    log.info("%s: %s, %s", folder, SHEET, FRAMES)


def _save_frames(frames: list[Image.Image], frame_ms: int, folder: Path) -> None:
    first, *others = frames
    with replacing(folder / FRAMES) as temporary:
        first.save(
            temporary, format="GIF", save_all=True, append_images=others, duration=frame_ms, loop=0
        )
