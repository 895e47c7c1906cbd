"""A tokenizer in CLIP's file format: byte pair encoding of lower-case words (arXiv 1508.07909)."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from tstitch.files.writing import write_text

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
WORDS = re.compile(r"[^\W\d_]+|\d|[^\s\w]+|_")
Pair = tuple[str, str]


def write_tokenizer(captions: Iterable[str], folder: Path, merges: int, length: int) -> None:
    """Writes vocab.json, merges.txt and the settings that `CLIPTokenizer.from_pretrained` reads.

    Args:
        captions: ASCII texts whose pairs of letters are counted.
        merges: most of them that are learned.
        length: tokens of a text, with begin and end.
    """
    learned = learn_merges(captions, merges)
    letters = _byte_letters()
    tokens = [*letters, *(letter + WORD_END for letter in letters)]
    tokens += [first + second for first, second in learned]
    vocabulary = {
        token: number for number, token in enumerate(dict.fromkeys([*tokens, BEGIN, END]))
    }
    settings = {
        "tokenizer_class": "CLIPTokenizer", "model_max_length": length, "do_lower_case": True,
        "bos_token": BEGIN, "eos_token": END, "pad_token": END, "unk_token": END,
    }  # fmt: skip
    lines = ["#version: 0.2", *(" ".join(pair) for pair in learned)]
    special = {key: settings[key] for key in settings if key.endswith("_token")}
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "merges.txt", "\n".join(lines) + "\n")
    write_text(folder / "vocab.json", json.dumps(vocabulary, ensure_ascii=False) + "\n")
    write_text(folder / "tokenizer_config.json", json.dumps(settings, indent=1) + "\n")
    write_text(folder / "special_tokens_map.json", json.dumps(special, indent=1) + "\n")


def learn_merges(captions: Iterable[str], count: int) -> list[Pair]:
    """Pairs of tokens in the order in which they are merged: the most frequent first.

    Of equally frequent ones the alphabet decides. Pairs that occur once are left.
    """
    found = Counter(word for caption in captions for word in WORDS.findall(caption.lower()))
    words = {word: [*word[:-1], word[-1] + WORD_END] for word in found}
    merges: list[Pair] = []
    while len(merges) < count:
        pairs: Counter[Pair] = Counter()
        for word, parts in words.items():
            for pair in pairwise(parts):
                pairs[pair] += found[word]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair), default=None)
        if best is None or pairs[best] < 2:
            break
        merges.append(best)
        for word, parts in words.items():
            if best[0] in parts:
                words[word] = _merged(parts, best)
    return merges


def _merged(parts: Sequence[str], pair: Pair) -> list[str]:
    merged: list[str] = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return merged


def _byte_letters() -> list[str]:
    """A visible letter for each of the 256 bytes, as GPT-2's and CLIP's vocabularies have them."""
    visible = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return [chr(byte) for byte in visible] + [chr(256 + place) for place in range(len(hidden))]


def load_tokenizer(folder: Path) -> Any:
    """transformers' CLIPTokenizer of a folder."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder)


def tokenized(tokenizer: Any, captions: Sequence[str]) -> Any:
    """Tokens int64 (N, model_max_length), begun, ended and padded."""
    options = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
    length = tokenizer.model_max_length
    return tokenizer(list(captions), max_length=length, **options)["input_ids"]
