"""What a JSON file holds, as a typed record."""

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from tstitch.files.writing import write_json


class Record(BaseModel):
    """A file, or a part of one: fields are its keys, in its order; unknown keys are passed over."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises OSError or UnicodeDecodeError, and ValueError for content that is not such."""
        return cls.model_validate_json(path.read_text())

    def plain(self) -> dict[str, Any]:
        """Plain JSON, without the fields that were never given: older files lack some."""
        return self.model_dump(exclude_unset=True)

    def write(self, path: Path, indent: int = 1) -> None:
        """By temporary name and rename."""
        write_json(path, self.plain(), indent)
