"""What decides the images of a run, its digest, and how two runs differ."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import yaml


@dataclass(frozen=True)
class Identity:
    """Values that decide what is made: plain JSON, of a run those that decide its images."""

    values: dict[str, Any]

    @classmethod
    def read(cls, config: Path) -> Self | None:
        """Of the run that a config.yaml is of; None if it is damaged. Raises OSError."""
        return cls.of(config.read_bytes())

    @classmethod
    def of(cls, content: bytes) -> Self | None:
        """Of the run that this is the config.yaml of; None if it is damaged."""
        try:
            return cls(dict(yaml.safe_load(content)["decides"]))
        except (yaml.YAMLError, KeyError, TypeError, ValueError):
            return None

    def stored(self) -> dict[str, Any]:
        """What a config.yaml says of it."""
        return {"fingerprint": self.fingerprint, "decides": self.values}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, hexadecimal, of the values, whatever their order."""
        text = json.dumps(_plain(self.values), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def short(self) -> str:
        """The beginning of the fingerprint, which ends the name of a folder."""
        return self.fingerprint[:8]

    @property
    def engine(self) -> dict[str, Any] | None:
        """What Engine.identity says, of a run."""
        return self.values.get("engine")

    def differences(self, now: "Identity") -> list[str]:
        """The keys that differ, as `key: before -> now`, long values left out."""
        old, new = _flat(self.values), _flat(now.values)
        return [
            f"{key}: {_short(old.get(key))} -> {_short(new.get(key))}"
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key)
        ]


def _plain(value: Any) -> Any:
    """Whole floats as integers: 0 and 0.0 are the same value, as `differences` sees it too."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for name, branch in tree.items():
        flat |= _flat(branch, f"{prefix}.{name}" if prefix else str(name))
    return flat


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 24 else text[:20] + "..."
