"""CLIP's text encoders as Stable Diffusion and SDXL use them, from a folder of transformers."""

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.download import DownloadError, one_line, sha256_of
from models.folders import fetch_folder, find_file, folder_digest, naming, read_config
from models.precision import float32_products
from models.progress import without_bars

BATCH = 16  # prompts at once
TOKENS = 77  # of a text, where a config.json does not say
VOCABULARY = ("vocab.json", "merges.txt")
TOKENIZER = "tokenizer.json"  # all in one, as transformers 5 saves it
TOKENIZER_FILES = (*VOCABULARY, TOKENIZER, "tokenizer_config.json", "special_tokens_map.json")
CLASSES = ("CLIPTextModel", "CLIPTextModelWithProjection")
log = logging.getLogger(__name__)


class ClipText:
    """The text encoder of a pipeline, or both of SDXL's.

    With one encoder its last states are handed out. With two (`text_encoder_2` is there) the
    states before the last layers of both, side by side, and the pooled state of the second.

    Args:
        source: folder of a pipeline, or its hub name; see models.folders.

    Raises:
        ValueError: no such folder, or one without a tokenizer or CLIP text encoder.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._names = ["text_encoder"]
        try:
            if find_file(f"{source}/text_encoder_2", "config.json") is not None:
                self._names.append("text_encoder_2")
        except DownloadError:
            pass  # it has one only; what else is wrong the next lines find
        self._configs = [self._config(name) for name in self._names]
        self._tokenizers = [self._tokenizer_files(name) for name in self._names]
        self._digest: str | None = None

    @property
    def widths(self) -> dict[str, int]:
        """Width of each tensor that `encode` returns."""
        widths = {"encoder_hidden_states": sum(c["hidden_size"] for c in self._configs)}
        if len(self._configs) > 1:
            widths["text_embeds"] = self._configs[1].get("projection_dim", 512)
        return widths

    def zero_negative(self) -> bool:
        """Whether a pipeline without a negative prompt takes zeros for it, as SDXL does."""
        if len(self._names) == 1:
            return False
        path = self._find("", "model_index.json")
        index = {} if path is None else json.loads(path.read_text(encoding="utf-8"))
        return bool(index.get("force_zeros_for_empty_prompt", True))

    @torch.no_grad()
    def encode(self, texts: Sequence[str], device: torch.device) -> dict[str, Tensor]:
        """What the texts mean to a network, float32 on the device.

        Texts longer than the encoder's are cut, with a warning that counts them.

        Returns:
            encoder_hidden_states (N, tokens, width); with two encoders text_embeds (N, width).

        Raises:
            ValueError: damaged or missing files, or no transformers package.
        """
        parts = [self._encode_by(k, texts, device) for k in range(len(self._names))]
        states = torch.cat([states for states, _ in parts], dim=-1)
        table = {"encoder_hidden_states": states}
        pooled = parts[-1][1] if len(parts) > 1 else None
        return table if pooled is None else table | {"text_embeds": pooled}

    def digest(self) -> str:
        """SHA-256 of weights and tokenizers; kept, since files are large."""
        if self._digest is None:
            lines = [folder_digest(self._fetch(name)) for name in self._names]
            files = [path for files in self._tokenizers for path in files.values()]
            lines += [f"{sha256_of(path)}  {path.name}" for path in files]
            self._digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        return self._digest

    def _encode_by(
        self, number: int, texts: Sequence[str], device: torch.device
    ) -> tuple[Tensor, Tensor | None]:
        name, both = self._names[number], len(self._names) > 1
        config = self._configs[number]
        folder = next(iter(self._tokenizers[number].values())).parent
        length = config.get("max_position_embeddings", TOKENS)
        tokens = _tokens(folder, texts, length).to(device)
        network = self._load(name, config).to(device)
        states: list[Tensor] = []
        pooled: list[Tensor] = []
        with float32_products(tf32=False):
            for ids in tokens.split(BATCH):
                found = network(ids, output_hidden_states=both)
                states.append(found.hidden_states[-2] if both else found.last_hidden_state)
                if getattr(found, "text_embeds", None) is not None:
                    pooled.append(found.text_embeds)
        return torch.cat(states), torch.cat(pooled) if pooled else None

    def _load(self, name: str, config: dict[str, Any]) -> torch.nn.Module:
        kind = getattr(_transformers(), config["architectures"][0])
        folder = self._fetch(name)
        options = {"local_files_only": True, "output_loading_info": True}
        try:
            with without_bars():
                network, report = kind.from_pretrained(folder, **options)
        except Exception as error:  # damaged files raise nearly anything in transformers
            reason = f"the text encoder cannot be loaded ({one_line(error)})"
            raise ValueError(f"source={folder}: {reason}; get it again") from error
        network = network.float().eval().requires_grad_(False)
        finite = all(torch.isfinite(p).all() for p in network.parameters())
        if report["missing_keys"] or not finite:
            reason = "lacks weights" if finite else "has weights that are not finite"
            raise ValueError(f"source={folder}: {reason}; get it again")
        return network

    def _config(self, name: str) -> dict[str, Any]:
        with naming("source"):
            config = read_config(self._place(name))
        if config.get("architectures", [None])[0] not in CLASSES:
            kind = config.get("architectures")
            raise self._error(f"{name} is a {kind}; it must be one of {', '.join(CLASSES)}")
        return config

    def _tokenizer_files(self, name: str) -> dict[str, Path]:
        """The files that there are, by name."""
        folder = name.replace("text_encoder", "tokenizer")
        found = {file: self._find(folder, file) for file in TOKENIZER_FILES}
        files = {file: path for file, path in found.items() if path is not None}
        if TOKENIZER not in files and not files.keys() >= set(VOCABULARY):
            raise self._error(f"{folder} has neither {TOKENIZER} nor {' and '.join(VOCABULARY)}")
        return files

    def _find(self, folder: str, file: str) -> Path | None:
        with naming("source"):
            return find_file(self._place(folder) if folder else self.source, file)

    def _fetch(self, name: str) -> Path:
        with naming("source"):
            return fetch_folder(self._place(name))

    def _place(self, name: str) -> str:
        return f"{self.source.rstrip('/')}/{name}"

    def _error(self, text: str) -> ValueError:
        return ValueError(f"source={self.source}: {text}")


def _tokens(folder: Path, texts: Sequence[str], length: int) -> Tensor:
    """Tokens (N, length) int64, begun, ended and padded as CLIP wants them."""
    tokenizer = _transformers().CLIPTokenizer.from_pretrained(folder)
    length = min(length, tokenizer.model_max_length)
    if cut := sum(len(ids) > length for ids in tokenizer(list(texts))["input_ids"]):
        log.warning("%d prompts are longer than %d tokens: their ends are cut", cut, length)
    options = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
    return tokenizer(list(texts), max_length=length, **options)["input_ids"]


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ValueError("source: needs the package transformers; pip install it") from error
    return transformers
