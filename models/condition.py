"""What an image is of: the condition table of a pair, into which y is an index.

y (N,) int64 lies in 0..len(table)-1; len(table) itself is the null condition of guidance.
"""

import copy
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from models.folders import local_folder


@dataclass(frozen=True, slots=True)
class Classes:
    """Classes by name; networks have an embedding of their own for each, and for none.

    Attributes:
        names: of the classes, in the order of the networks' labels.
    """

    names: tuple[str, ...]

    @property
    def null(self) -> int:
        """Index of the null condition."""
        return len(self.names)

    def check(self, network: Any) -> None:
        """Refuses a network that these conditions mean nothing to.

        Raises:
            ValueError: it takes texts.
        """
        if getattr(network, "conditioning", "classes") == "text":
            raise ValueError("is conditioned on text; give the pair prompts in place of classes")

    def bind(self, networks: Iterable[Any], device: torch.device) -> None:
        """Nothing to do: y are the networks' own labels."""

    def identity(self) -> dict[str, Any]:
        """What of it decides the images beside its length; networks know the rest."""
        return {}


@dataclass(frozen=True, slots=True)
class Prompts:
    """Texts, encoded once; networks share the table of what they mean.

    Attributes:
        names: the prompts.
        negative: text of the null condition; None = what pipelines of the encoder take then.
        encoder: such as models.text_encoder.ClipText.
    """

    names: tuple[str, ...]
    negative: str | None
    encoder: Any
    _tables: dict[torch.device, dict[str, Tensor]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def null(self) -> int:
        """Index of the null condition."""
        return len(self.names)

    def check(self, network: Any) -> None:
        """Refuses a network that these conditions mean nothing to.

        Raises:
            ValueError: it takes no texts, or those of another encoder.
        """
        if getattr(network, "conditioning", "classes") != "text":
            raise ValueError("takes no text; give the pair classes in place of prompts")
        for name, width in network.text_widths.items():
            given = self.encoder.widths.get(name)
            if given != width:
                own = f"{name} of width {width}"
                raise ValueError(f"takes {own}, and pair.text_encoder gives {given or 'none'}")

    def bind(self, networks: Iterable[Any], device: torch.device) -> None:
        """Encodes the prompts, once per device, and hands every network its table.

        Args:
            networks: on any device, in the dtype that they compute in.

        Raises:
            ValueError: an encoder that cannot be loaded.
        """
        if device not in self._tables:
            self._tables[device] = self._encode(device)
        for network in networks:
            stay = next(network.parameters()).device
            network.bind({name: rows.to(stay) for name, rows in self._tables[device].items()})

    def identity(self) -> dict[str, Any]:
        """What of it decides the images: digests of the texts and the encoder's files."""
        texts = json.dumps([*self.names, self.negative]).encode()
        return {"prompts": hashlib.sha256(texts).hexdigest(), "encoder": self.encoder.digest()}

    def _encode(self, device: torch.device) -> dict[str, Tensor]:
        """Rows of the prompts, the null condition last."""
        table = self.encoder.encode([*self.names, self.negative or ""], device)
        if self.negative is None and self.encoder.zero_negative():
            for rows in table.values():
                rows[-1] = 0
        return table


def with_own_table(network: nn.Module) -> nn.Module:
    """The same weights under a condition table of their own: to `bind` it leaves the other's."""
    other = copy.copy(network)
    other._buffers = network._buffers.copy()
    return other


def read_prompts(value: str | Sequence[str]) -> tuple[str, ...]:
    """Prompts given as a list, or as the path of a text file with one a line (also shipped:PATH).

    Raises:
        ValueError: no texts, or a file that cannot be read; the message has no field's name.
    """
    if isinstance(value, str):
        try:
            with open(local_folder(value), encoding="utf-8") as file:
                lines = [line.strip() for line in file]
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no UTF-8"
            raise ValueError(f"cannot be read ({reason}); give a text file, or a list") from error
        value = [line for line in lines if line]
    if not isinstance(value, Sequence) or not value or not all(isinstance(v, str) for v in value):
        raise ValueError("give a list of texts, or a text file with one a line")
    return tuple(value)
