"""The moment at which a pipeline's loop has ended and its images are decoded."""

from typing import Any, Self

from evaluation.cost.timing import StageTimer


class DecodeMark:
    """Within it the first call of the autoencoder's `decode` sets `mark`.

    Args:
        pipe: a pipeline; one without an autoencoder has no such moment.
        timer: whose mark it is.
    """

    def __init__(self, pipe: Any, timer: StageTimer) -> None:
        self._vae, self._timer = getattr(pipe, "vae", None), timer
        self.mark: Any = None

    def __enter__(self) -> Self:
        if self._vae is not None:
            decode = self._vae.decode

            def marked(*arguments: Any, **keywords: Any) -> Any:
                if self.mark is None:
                    self.mark = self._timer.mark()
                return decode(*arguments, **keywords)

            self._vae.decode = marked
        return self

    def __exit__(self, *error: object) -> None:
        if self._vae is not None:
            del self._vae.decode  # the class's own again
