"""Images of prompts: CLIP score, retrieval and diversity; where their prompts come from."""

import json

import numpy as np
import pytest
import torch
from stand_ins import save_clip, save_judge

from evaluation.features.judge import JudgeExtractor
from tstitch import evaluate as evaluate_in_python
from tstitch.config.cli import compose
from tstitch.runtime.errors import UserError
from tstitch.scoring.evaluator import Evaluator
from tstitch.scoring.run import run_evaluation
from tstitch.scoring.samples import open_samples
from tstitch.scoring.settings import EvaluationSettings

NAMES, STYLES = ("red square", "blue disc", "moon"), ("flat", "old", "black and white")
PROMPTS = ["moon, old style", "Red Square, flat style", "blue disc, black and white style"]
COUNT, SIDE = 48, 16


def draw(seed: int) -> np.ndarray:
    """Colourful images whose halves have colours of their own."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (COUNT, 2, 2, 3), dtype=np.uint8)
    return coarse.repeat(SIDE // 2, axis=1).repeat(SIDE // 2, axis=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder as a run leaves it, the images of another run in base/, real images, a judge."""
    folder = tmp_path_factory.mktemp("run")
    for place, seed in ((folder, 0), (folder / "base", 1)):
        place.mkdir(exist_ok=True)
        np.savez(place / "samples.npz", draw(seed), np.arange(COUNT) % len(PROMPTS))
        (place / "prompts.json").write_text(json.dumps(PROMPTS))
    np.savez(folder / "real.npz", draw(2))
    captions = [f"{name}, {style} style" for name in NAMES for style in STYLES]
    save_judge(folder / "pair", captions)
    (folder / "emoji.json").write_text(json.dumps({
        "emoji": [{"caption": name} for name in NAMES],
        "styles": [{"words": style} for style in STYLES],
    }))  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def words(run):
    """Overrides of such an evaluation."""
    return [
        "evaluation=emoji",
        f"evaluation.weights={run}/pair/judge/image.safetensors",
        f"evaluation.extractor.side={SIDE}",
        f"evaluation.captions.folder={run}",
        "evaluation.floor=null",
        "evaluation.groups=8",
        f"samples={run}/samples.npz",
        f"reference={run}/real.npz",
        "device=cpu",
    ]


def measured(words, folder, *more: str) -> dict:
    run_evaluation(compose("evaluate", [*words, f"output={folder}/out.json", *more]))
    return json.loads((folder / "out.json").read_text())


def test_values(run, words, tmp_path, capsys):
    """Catches: prompts of other images, a table without the score, prompts taken for classes, a
    retrieval among other captions, runs without their paired differences and diversity."""
    result = measured(words, tmp_path, f"baseline={run}/base/samples.npz")
    judge = JudgeExtractor(run / "pair" / "judge" / "image.safetensors", "emoji", SIDE)
    images = torch.from_numpy(draw(0)).permute(0, 3, 1, 2)
    found = judge(images)["embedding"].double()
    texts, labels = judge.embed_texts(PROMPTS).double(), torch.arange(COUNT) % len(PROMPTS)
    cosines = (found * texts[labels]).sum(1)
    assert abs(float(cosines.mean())) > 0.01  # else any value would do
    score = result["metrics"]["clip_score"]
    assert score["name"] == "CLIP score (emoji)"
    assert score["value"] == pytest.approx(max(0, 100 * float(cosines.mean())), abs=1e-4)
    right = [NAMES.index(prompt.lower().split(", ")[0]) for prompt in PROMPTS]
    hits = []
    for image, label in zip(found, labels.tolist(), strict=True):
        style = PROMPTS[label].split(", ")[1]
        among = judge.embed_texts([f"{name}, {style}" for name in NAMES]).double()
        hits.append(int((among @ image).argmax()) == right[label])
    assert result["metrics"]["subject_retrieval"]["value"] == pytest.approx(np.mean(hits))
    assert "style_retrieval" in result["metrics"] and "class_accuracy" not in result["metrics"]
    assert not any("other classes" in entry["flags"] for entry in result["metrics"].values())
    assert result["differences"].keys() == result["metrics"].keys()
    assert result["paired"]["diversity"]["name"] == "diversity retention (emoji)"
    assert f"| CLIP score (emoji) | {score['value']:.5g}" in capsys.readouterr().out
    assert result["protocol"]["extractor"].keys() >= {"text_sha256", "captions_sha256"}


@pytest.mark.slow
def test_two_processes(words, run_script, tmp_path):
    """Catches: texts that a rank leaves out or puts elsewhere, a rank that waits for ever, bars of
    what is loaded in an instant."""
    results = []
    for processes in (0, 2):
        output = tmp_path / f"{processes}.json"
        done = run_script("evaluate.py", *words, f"output={output}", processes=processes)
        assert done.returncode == 0, done.stderr
        assert "Loading weights" not in done.stderr
        results.append(json.loads(output.read_text())["metrics"])
    assert results[0].keys() == results[1].keys() >= {"clip_score", "style_retrieval"}
    for key, entry in results[0].items():
        for part in ("value", "low", "high"):
            assert results[1][key][part] == pytest.approx(entry[part], rel=1e-5, abs=1e-6), key


def test_prompts_of_the_user(run, words, tmp_path, caplog):
    """Catches: a file that is not read, free texts that end an evaluation or count as captions."""
    np.save(tmp_path / "plain.npy", draw(0))
    each = [PROMPTS[k % len(PROMPTS)] for k in range(COUNT)]
    (tmp_path / "each.txt").write_text("\n".join(each) + "\n")
    inside = [*words, f"samples={tmp_path}/plain.npy"]
    assert "clip_score" not in measured(inside, tmp_path)["metrics"]
    found = measured(inside, tmp_path, f"prompts={tmp_path}/each.txt")["metrics"]
    expected = measured(words, tmp_path)["metrics"]
    for key in ("clip_score", "subject_retrieval"):
        assert found[key]["value"] == pytest.approx(expected[key]["value"])
    (tmp_path / "free.json").write_text(json.dumps(["a boat", *PROMPTS[1:]]))
    with caplog.at_level("WARNING"):
        free = measured(words, tmp_path, f"prompts={tmp_path}/free.json")["metrics"]
    assert "clip_score" in free and "style_retrieval" not in free
    assert "1 prompts are no caption of the data, as 'a boat'" in caplog.text
    section = [word for word in words if word.startswith(("evaluation", "device"))]
    again = evaluate_in_python(draw(0), draw(2), *section, f"prompts={tmp_path}/each.txt")
    assert again.metrics["clip_score"].value == pytest.approx(expected["clip_score"]["value"])


BAD = [
    ("prompts={0}/none.json", "prompts={0}/none.json: cannot be read", "give a JSON list"),
    ("prompts={0}/number.json", "prompts={0}/number.json: holds no texts", "give"),
    ("prompts={0}/two.txt", "prompts={0}/two.txt: holds 2 texts, image 2 is of text 2", "give"),
    ("evaluation.captions.folder={0}", "evaluation.captions.folder={0}: is no set", "get it again"),
    ("evaluation.captions=null evaluation.resize=0", "evaluation.resize=0", "at least 1"),
    ("evaluation.clip.weights=x evaluation.clip.extractor=3", "evaluation.clip", "_target_"),
]


@pytest.mark.parametrize(("more", "start", "inside"), BAD, ids=[case[1][:30] for case in BAD])
def test_bad_input(words, tmp_path, more, start, inside):
    """Catches: a traceback, or a message without field, value or remedy."""
    (tmp_path / "number.json").write_text("3")
    (tmp_path / "two.txt").write_text("a\nb\n")
    given = [("+" if "clip" in word else "") + word for word in more.format(tmp_path).split()]
    kept = [w for w in words if "captions" not in w] if "captions" in more else words
    with pytest.raises(UserError) as caught:
        run_evaluation(compose("evaluate", [*kept, *given]))
    message = str(caught.value)
    assert message.startswith(start.format(tmp_path)) and inside in message, message
    assert len(message.splitlines()) == 1


def test_a_prompts_file_of_other_images(run, words, tmp_path, caplog):
    """Catches: labels of classes that end in an error for a file that happens to lie there."""
    np.savez(tmp_path / "samples.npz", draw(0), np.arange(COUNT))
    (tmp_path / "prompts.json").write_text(json.dumps(PROMPTS))
    images = open_samples(tmp_path / "samples.npz", "samples")
    assert images.prompts is None and "labels are taken for classes" in caplog.text
    np.savez(tmp_path / "other.npz", draw(0), np.arange(COUNT) % 3)
    assert open_samples(tmp_path / "other.npz", "samples").prompts == tuple(PROMPTS)


def test_diversity_of_other_prompts(run, words, tmp_path, caplog):
    """Catches: images of other prompts compared as if they were of one."""
    np.savez(tmp_path / "samples.npz", draw(1), np.arange(COUNT) % 3)
    (tmp_path / "prompts.json").write_text(json.dumps(["other", *PROMPTS[1:]]))
    result = measured(words, tmp_path, f"baseline={tmp_path}/samples.npz")
    assert "diversity" not in result["paired"] and "is of other prompts" in caplog.text


def test_a_second_network_reads_the_prompts(run, words, tmp_path):
    """Catches: a CLIP whose score is named after the images' extractor, whose identity is lost, or
    that the reference's images go through; images at their own size where they are resized."""
    clip = save_clip(tmp_path / "clip")
    section = {
        "extractor": {"_target_": "evaluation.features.clip.ClipExtractor", "name": "tiny CLIP"},
        "weights": str(clip),
    }
    config = compose("evaluate", words)["evaluation"]
    config |= {"clip": section, "captions": None, "reference": f"{run}/real.npz"}
    evaluator = Evaluator(EvaluationSettings.parse(config), torch.device("cpu"))
    result = evaluator.evaluate(open_samples(run / "samples.npz", "samples"), "samples")
    assert result.metrics["clip_score"].name == "CLIP score (tiny CLIP)"
    assert result.metrics["fid"].name == "FID (emoji)"
    extractor = evaluator.identity.extractor
    assert extractor["clip_name"] == "tiny CLIP" and len(extractor["clip_weights_sha256"]) == 64
    large = draw(0).repeat(2, axis=1).repeat(2, axis=2)
    np.savez(tmp_path / "large.npz", large, np.arange(COUNT) % 3)
    (tmp_path / "prompts.json").write_text(json.dumps(PROMPTS))
    config["resize"] = SIDE
    evaluator = Evaluator(EvaluationSettings.parse(config), torch.device("cpu"))
    assert evaluator.identity.extractor["resize"] == "16x16, Pillow bicubic, whole image"
    evaluator.check_size(2 * SIDE, 2 * SIDE, "samples")
    again = evaluator.evaluate(open_samples(tmp_path / "large.npz", "samples"), "samples")
    for key in ("fid", "clip_score"):  # enlarged without a filter, and not quite the same
        assert again.metrics[key].value == pytest.approx(result.metrics[key].value, rel=0.2)
