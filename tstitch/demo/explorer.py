"""Images of pairs under any settings and fraction: loaded once, made once."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from tstitch.api import load
from tstitch.notebook.sampler import LoadedSampler, Made
from tstitch.notebook.words import beginning, stitch_word
from tstitch.runtime.errors import UserError

IN_TURN = "one of each"  # in place of a class
KEPT = 24  # settings whose images are kept
WARM_UP = 0.5  # a fraction at which every denoiser runs


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page asks for, checked: all that decides the images but for the fraction."""

    pair: str
    conditions: tuple[str, ...]  # names of classes or texts, one per image
    steps: int
    guidance: float
    seed: int


@dataclass(slots=True)
class Seen:
    """What is known of one `Asked`."""

    sampler: LoadedSampler
    made: dict[float, Made] = field(default_factory=dict)
    schedules: dict[float, tuple[int, ...]] = field(default_factory=dict)
    apart: list[float] | None = None  # disagreement at each step
    refused: str = ""  # why there is none


class Explorer:
    """Answers the page; every call may be of another thread.

    Args:
        pair: of configs/pair.
        words: overrides of scripts/sample.py for this one; others begin with their defaults.
    """

    def __init__(self, pair: str, words: Sequence[str]) -> None:
        self._words = {pair: tuple(words)}
        self._samplers: dict[str, LoadedSampler] = {}
        self._seen: dict[Asked, Seen] = {}
        self._lock = threading.Lock()

    def sampler(self, pair: str) -> LoadedSampler:
        """The pair with the settings that it begins with.

        Raises:
            UserError: weights that are not there, or settings that do not fit.
        """
        with self._lock:
            if pair not in self._samplers:
                self._samplers[pair] = load(pair, *beginning(pair, self._words.get(pair, ())))
            return self._samplers[pair]

    def ask(
        self, pair: str, condition: str, images: int, steps: int, guidance: float, seed: int
    ) -> Asked:
        """Checks what the page gives.

        Args:
            condition: a class or IN_TURN, or a prompt.

        Raises:
            UserError: an empty prompt, a class that is none, a setting that does not fit.
        """
        sampler = self.sampler(pair)
        names = sampler.class_names
        if sampler.takes_prompts and not (condition or "").strip():
            raise UserError("prompt: is empty; write what the image shows")
        if condition == IN_TURN:
            conditions = tuple(names[k % len(names)] for k in range(images))
        else:
            conditions = (condition.strip(),) * images
        asked = Asked(pair, conditions, steps, guidance, seed)
        sampler.check(conditions, seed=seed)
        self._known(asked)
        return asked

    def seen(self, asked: Asked) -> Seen:
        """What was made of it so far."""
        return self._known(asked)

    def make(self, asked: Asked, fraction: float) -> Made:
        """Its images at a fraction, and what they took the first time.

        Raises:
            UserError: what sampling raises.
        """
        seen = self._known(asked)
        with self._lock:
            if fraction not in seen.made:
                sampler = seen.sampler.under(_stitch(seen.sampler, fraction))
                if not seen.made:  # the first images of a process take longer
                    first = seen.sampler.under(_stitch(seen.sampler, WARM_UP))
                    first.make(asked.conditions[:1], seed=asked.seed)
                seen.schedules[fraction] = sampler.schedule
                seen.made[fraction] = sampler.make(asked.conditions, seed=asked.seed)
            return seen.made[fraction]

    def disagreement(self, asked: Asked) -> Seen:
        """With the disagreement of small and large at each step, or why there is none."""
        seen = self._known(asked)
        with self._lock:
            if seen.apart is None and not seen.refused:
                try:
                    apart = seen.sampler.disagreement(asked.conditions, seed=asked.seed)
                    seen.apart = apart.mean(1).tolist()
                except UserError as error:
                    seen.refused = str(error)
        return seen

    def _known(self, asked: Asked) -> Seen:
        base = self.sampler(asked.pair)
        with self._lock:
            if asked not in self._seen:
                sampler = base.under(*_words(asked, base))
                while len(self._seen) >= KEPT:
                    del self._seen[next(iter(self._seen))]
                self._seen[asked] = Seen(sampler)
            return self._seen[asked]


def defaults(sampler: LoadedSampler) -> tuple[int, float]:
    """Steps and guidance scale that a pair begins with, as overrides would give them."""
    config = sampler.config
    scale = config["guidance"].get("scale")
    if scale is None:
        scale = config["pair"].get("guidance", {}).get("scale", 1.0)
    return config["sampler"].get("steps") or len(sampler.schedule), scale


def _words(asked: Asked, base: LoadedSampler) -> list[str]:
    """What differs from the beginning: a scale that is given would be every denoiser's."""
    steps, guidance = defaults(base)
    words = [] if asked.steps == steps else [f"sampler.steps={asked.steps}"]
    return words + ([] if asked.guidance == guidance else [f"guidance.scale={asked.guidance:g}"])


def _stitch(sampler: LoadedSampler, fraction: float) -> str:
    return stitch_word(fraction, len(sampler.denoisers))
