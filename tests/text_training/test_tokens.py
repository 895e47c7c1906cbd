"""The tokenizer: what byte pair encoding merges, and that CLIP's own class reads its files."""

import pytest

from tstitch.text_training.encoder import trimmed
from tstitch.text_training.tokens import learn_merges, load_tokenizer, tokenized, write_tokenizer

CAPTIONS = ("red apple, flat style", "red car, flat style", "green apple, glossy style")
LENGTH = 10


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(CAPTIONS, folder, 200, LENGTH)
    return load_tokenizer(folder)


def test_frequent_pairs_come_first():
    """Catches: counts of words instead of texts, ties that depend on the order of a hash, merges
    over the end of a word.
    """
    assert learn_merges(["ab ab", "ab c", "cd"], 10) == [("a", "b</w>")]
    assert learn_merges(["xy zw", "zw xy"], 1) == [("x", "y</w>")]
    assert learn_merges(["aaaa aaaa"], 2) == [("a", "a"), ("a", "a</w>")]
    assert learn_merges(["ab ab"], 0) == []


def test_words_seen_twice_are_one_token(tokenizer):
    """Catches: merges that transformers applies in another order than they were learned in."""
    assert tokenizer.tokenize("Red apple, flat") == ["red</w>", "apple</w>", ",</w>", "flat</w>"]
    assert tokenizer.tokenize("glossy")[-1].endswith("</w>") and len(tokenizer.tokenize("car")) > 1


def test_texts_are_begun_ended_and_padded(tokenizer):
    """Catches: the end token that CLIP's encoder looks for missing, texts that are not cut."""
    ids = tokenized(tokenizer, ["", CAPTIONS[0], "apple " * 30])
    assert ids.shape == (3, LENGTH)
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    assert (ids[:, 0] == begin).all() and (ids[:, -1] == end).all()
    assert ids[0, 1:].tolist() == [end] * (LENGTH - 1)
    assert tokenizer.pad_token_id == end == len(tokenizer) - 1


def test_any_text_has_tokens(tokenizer):
    """Catches: letters without a token, which would all be one unknown word."""
    for text in ("Zürich", "naïve 4%", "苹果"):
        ids = tokenized(tokenizer, [text])[0]
        assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == (
            text.lower().replace(" ", "")
        )


def test_trimming_keeps_the_end(tokenizer):
    """Catches: a text whose end token is cut off, so that the encoder sums up its begin."""
    ids = tokenized(tokenizer, [CAPTIONS[0], "red"])
    cut = trimmed(ids, tokenizer.eos_token_id)
    assert cut.shape[1] < ids.shape[1] and (cut[:, -1] == tokenizer.eos_token_id).all()
    assert (ids[:, cut.shape[1] :] == tokenizer.eos_token_id).all()
