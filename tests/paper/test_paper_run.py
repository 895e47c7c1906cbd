"""Reproductions through the real command: points, resume, reports, ledger, bad input."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from tstitch.config.cli import compose
from tstitch.paper.run import run_reproduction
from tstitch.run.generate import run_sampling

STATUS = "holds|does not hold|not resolved|not tested"

ONE_FIGURE = ("paper=table7",)


def samples(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("samples.npz")}


def evaluations(root: Path) -> dict[str, dict]:
    files = root.rglob("evaluation.json")
    return {p.parent.name: json.loads(p.read_text())["metrics"] for p in files}


def at_half(root: Path) -> Path:
    """The run at fraction 0.5; other orders take as many steps of each model."""
    for path in root.rglob("config.yaml"):
        stitch = yaml.safe_load(path.read_text())["config"]["stitch"]
        if (stitch["_target_"], stitch.get("fraction")) == ("samplers.Fraction", 0.5):
            return path.parent
    raise AssertionError("no run at fraction 0.5")


@pytest.fixture(scope="module")
def table7(reproduce, tmp_path_factory):
    """A finished table 7; to be read, not changed."""
    root = tmp_path_factory.mktemp("table7")
    return root, reproduce(root, *ONE_FIGURE)


@pytest.mark.slow
def test_figure_through_the_command(command, table7, tmp_path):
    """Catches: a report on other runs than the command's, points that depend on the ranks."""
    root, report = table7
    done = command(*ONE_FIGURE, f"root={tmp_path}", processes=2)
    assert done.returncode == 0, done.stderr
    assert samples(tmp_path) == samples(root) and len(samples(root)) == 5
    assert "C14" in done.stdout
    text, other = report.read_text(), (tmp_path / "paper" / "table7-miniature.md").read_text()
    for word in ("interleave", "large_to_small", "8 images", "FID (Fashion-MNIST classifier)"):
        assert word in text and word in other
    verdict = next(line for line in text.splitlines() if "C14" in line)
    assert verdict in other


@pytest.mark.slow
def test_headline_figure_through_the_command(command, tmp_path):
    """Catches: the default command, whose timing starts processes of its own, and its report."""
    timing = "paper.miniature.timing={batch_size: 2, rounds: 1}"
    done = command(timing, f"root={tmp_path}")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "paper" / "fig1-miniature"
    found = json.loads((folder / "measured.json").read_text())["measured"]["timing"]
    assert found["fractions"] == [n / 10 for n in range(11)] and found["rounds"] == 1
    # By arithmetic fraction 1 takes a fourteenth of the large model's time.
    assert found["seconds"][10][0] < found["seconds"][0][0]
    text = folder.with_suffix(".md").read_text()
    assert "Batches of 2 images in one process on" in text and "1 thread; median" in text
    for claim in ("C1", "C2", "C3", "C4", "C7", "C11"):
        assert re.search(rf"\*\*{claim} ({STATUS})\*\*", text), claim
    assert not list(folder.rglob("*.npz"))
    again = command(timing, f"root={tmp_path}")
    assert again.returncode == 0 and "timing: round 1 of 1" in done.stderr
    assert "timing: round" not in again.stderr


def test_command_resumes(table7, reproduce, caplog):
    """Catches: points that are sampled or evaluated again."""
    root, report = table7
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*.npz")}
    with caplog.at_level("INFO", logger="tstitch"):
        assert reproduce(root, *ONE_FIGURE) == report
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*.npz")} == before
    assert "0 of 8 images to sample" in caplog.text and "evaluating" not in caplog.text


def test_figures_share_points(table7, tiny, caplog, tmp_path):
    """Catches: figure 1 sampling what table 7 has."""
    root, _ = table7
    with caplog.at_level("INFO", logger="tstitch"):
        two_counts(root, tiny, tmp_path)
    assert f"{at_half(root)}: 0 of 8 images to sample" in caplog.text


def two_counts(root: Path, tiny: tuple[str, ...], tmp_path: Path) -> None:
    """Figure 13 at 8 and 16 images; the pair's points at 8 are there already."""
    config = compose("reproduce", ["paper=fig13", f"root={root}", f"report={tmp_path}/fig13"])
    own = compose("reproduce", list(tiny))
    few, many = config["paper"]["miniature"]["curves"]
    for curve, images in ((few, 8), (many, 16)):
        curve["images"], curve["fractions"] = images, [0, 0.5, 1]
    run_reproduction(config | {"overrides": own["overrides"]})


def test_fewer_images_of_a_longer_run(table7, tiny, tmp_path):
    """Catches: a run cut to the smaller number, or the metrics of all its images."""
    root, _ = table7
    two_counts(root, tiny, tmp_path)
    two_counts(root, tiny, tmp_path)  # the first time the few were there before the many
    folder = at_half(root)
    with np.load(folder / "samples.npz") as archive:
        assert len(archive["arr_0"]) == 16
    own = compose("reproduce", list(tiny))
    config = compose("sample", [
        *own["scale"]["overrides"], "sampler=ddim", "stitch.fraction=0.5", "run.num_images=8",
        f"run.root={tmp_path}", *own["overrides"],
    ])  # fmt: skip
    alone = json.loads((run_sampling(config) / "evaluation.json").read_text())["metrics"]
    first = json.loads((folder / "first-8" / "evaluation.json").read_text())["metrics"]
    assert {k: v["value"] for k, v in first.items()} == pytest.approx(
        {k: v["value"] for k, v in alone.items()}
    )
    whole = json.loads((folder / "evaluation.json").read_text())
    assert whole["num_images"] == 16
    assert whole["metrics"]["fid"]["value"] != pytest.approx(first["fid"]["value"])


@pytest.mark.slow
def test_ledger(tiny, table7, reproduce, tmp_path):
    """Catches: a claim that is missing, a picture that is not there, a figure run twice."""
    root, _ = table7
    members = "paper.members=[table7,fig3,fig11,predict]"
    report = tmp_path / "claims"
    probes = ["paper=ledger", members, f"report={report}"]
    path = reproduce(root, *probes)
    text = path.read_text()
    assert path == tmp_path / "claims.md"
    for number in range(1, 27):
        assert re.search(rf"\| C{number} \|.*\| ({STATUS}) \|", text)
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert pictures == ["claims/fig3.png", "claims/fig11.png", "claims/predict.png"]
    assert all((tmp_path / name).is_file() for name in pictures)
    assert "run paper=fig1" in text and "Contradictions" in text
    first = {p: p.stat().st_mtime_ns for p in root.rglob("measured.json")}
    reproduce(root, *probes)
    assert {p: p.stat().st_mtime_ns for p in root.rglob("measured.json")} == first and first


def test_two_matchings_in_one_report(reproduce, tmp_path):
    """Catches: a figure on a pair of its own that runs the scale's, a matching that no run has."""
    few = "paper.miniature.curves.0.fractions=[0,0.4,1]"
    path = reproduce(tmp_path, "paper=table5", few, "weights.uvit=random")
    text = path.read_text()
    assert len(set(samples(tmp_path).values())) == 5
    assert "pair: fashion_mnist_dit_uvit" in text and "table5-miniature/table5.png" in text
    assert re.search(
        rf"\*\*C15 ({STATUS})\*\*.*matched by log-SNR.*matched by t.*all small by t", text
    )
    for series in ("matched by log-SNR", "matched by t"):
        assert f", small + large, {series}, 8 images" in text


def test_equal_models_predict_alike(reproduce, tiny, tmp_path):
    """Catches: predictions compared at different latents or timesteps."""
    same = [f"denoiser@pair.denoisers.{k}=fashion_mnist_small" for k in ("medium", "large")]
    own = compose("reproduce", list(tiny))["overrides"]
    config = compose("reproduce", ["paper=fig3", "images=6", f"root={tmp_path}"])
    run_reproduction(config | {"overrides": [*own, *same]})
    found = json.loads((tmp_path / "paper" / "fig3-miniature" / "measured.json").read_text())
    courses = found["measured"]
    for kind in ("shared", "separate"):
        for pair in ("small/medium", "small/large", "medium/large"):
            assert courses[kind][pair]["cosine"] == pytest.approx([1] * 4, abs=1e-6)
            assert courses[kind][pair]["distance"] == pytest.approx([0] * 4, abs=1e-6)


def test_two_trajectories_part(reproduce, tmp_path):
    """Catches: `separate` measured along the shared trajectory."""
    reproduce(tmp_path, "paper=fig3")
    path = tmp_path / "paper" / "fig3-miniature" / "measured.json"
    found = json.loads(path.read_text())["measured"]
    shared, separate = (found[k]["small/large"]["distance"] for k in ("shared", "separate"))
    assert separate[0] == pytest.approx(shared[0]) and separate[-1] > 1.05 * shared[-1]


@pytest.mark.slow
def test_a_measurement_of_more_images_stays(reproduce, tmp_path):
    """Catches: a quick trial that replaces what a figure was measured with, its report kept."""
    folder = tmp_path / "paper" / "fig3-miniature"
    report = reproduce(tmp_path, "paper=fig3", "images=6")
    before = (folder / "measured.json").read_bytes(), report.read_bytes()
    assert reproduce(tmp_path, "paper=fig3", "images=4") == folder / "first-4.md"
    assert ((folder / "measured.json").read_bytes(), report.read_bytes()) == before
    own = json.loads((folder / "first-4" / "measured.json").read_text())
    assert own["images"] == 4 and own["key"] != json.loads(before[0])["key"]
    reproduce(tmp_path, "paper=fig3", "images=8")
    assert json.loads((folder / "measured.json").read_text())["images"] == 8


@pytest.mark.slow
def test_memory_and_storage(reproduce, tmp_path):
    """Catches: weights counted twice, a pair that holds one model."""
    reproduce(tmp_path, "paper=table8")
    path = tmp_path / "paper" / "table8-miniature" / "measured.json"
    small, large, both = json.loads(path.read_text())["measured"]["rows"]
    assert both["parameters"] == small["parameters"] + large["parameters"]
    assert both["storage_bytes"] == small["storage_bytes"] + large["storage_bytes"]
    assert both["memory_bytes"] > large["memory_bytes"] - 4e6 > small["memory_bytes"]


@pytest.mark.slow
def test_tuned_models_run_in_the_mix(reproduce, tmp_path):
    """Catches: tuning that changes nothing, or the weights of the other variant."""
    images = np.random.default_rng(0).integers(0, 256, (60, 28, 28))
    folder = tmp_path / "idx"
    folder.mkdir()
    header = bytes([0, 0, 8, 3]) + np.array([60, 28, 28], ">u4").tobytes()
    (folder / "train-images-idx3-ubyte").write_bytes(header + images.astype(np.uint8).tobytes())
    header = bytes([0, 0, 8, 1]) + np.array([60], ">u4").tobytes()
    labels = (np.arange(60) % 10).astype(np.uint8)
    (folder / "train-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    own = ["data=idx_folder", f"data.folder={folder}", "train.steps=2", "train.batch_size=4",
           "train.decay_steps=0", "train.warmup_steps=0", "train.learning_rate=1e-3"]  # fmt: skip
    training = "training=[" + ",".join(f"'{word}'" for word in own) + "]"
    report = reproduce(tmp_path / "runs", "paper=table6", training, "images=8")
    assert len(set(samples(tmp_path / "runs").values())) == 3
    assert "own interval" in report.read_text()
    weights = {p.read_bytes() for p in (tmp_path / "runs").rglob("ema.safetensors")}
    assert len(weights) == 4


DRY = ("scale=full", "dry_run=true", "throughput=10", "images=5000", "overrides=[]")


@pytest.mark.parametrize("figure", [pytest.param("ledger", marks=pytest.mark.slow), "fig18"])
def test_dry_run_needs_no_weights(figure, command, tmp_path):
    """Catches: a dry run that samples, fetches, or refuses what is still to be given."""
    done = command(f"paper={figure}", *DRY, f"root={tmp_path}/runs")
    assert (done.returncode, done.stderr) == (0, "")
    assert "hours at 10 TFLOP/s" in done.stdout and "5,000 images each" in done.stdout
    assert not (tmp_path / "runs").exists()


def test_dry_run_of_trainings(reproduce, capsys, tmp_path):
    """Catches: trainings that are not counted, or that want their data."""
    reproduce(tmp_path / "runs", "paper=table6", *DRY)
    printed = capsys.readouterr().out
    assert re.search(r"PFLOPs of training .*, [\d,.]+ hours", printed)
    assert "hours at 10 TFLOP/s" in printed and "5,000 images each" in printed
    assert not (tmp_path / "runs").exists()


BAD = [
    (["paper=fig7"], "paper=fig7: choose one of"),
    (["scale=huge"], "scale=huge: choose one of"),
    (["images=2"], "images=2: choose a whole number of at least 4"),
    (["throughput=0"], "throughput=0: choose a number"),
    (["throughput=no/such.json"], "throughput='no/such.json': give TFLOP/s, or a benchmark.json"),
    (["root='a\nb'"], "root='a\\nb': give a path of one line"),
    (["report='a\nb'"], "report='a\\nb': give a path of one line"),
    (["weights.small=3"], "weights.small=3: give a non-empty text"),
    (["overrides=ddim"], "overrides='ddim': give quoted overrides"),
    (["overrides=['nonsense=1']"], "nonsense: unknown key"),
    (["overrides=['evaluation=none']", "paper=table7"], "evaluation.reference=null: a figure"),
    (["overrides=['run.dir=x']"], "overrides: run.dir=x is for the figure to decide"),
    (["overrides=['guidance=auto']"], "overrides: guidance=auto is for the figure to decide"),
    (["overrides=['stitch.fraction=1']"], "overrides: stitch.fraction=1 is for the figure"),
    (["report=."], "report=.: name a folder"),
    (["paper.miniature.timing.rounds=0"], "paper.miniature.timing.rounds=0: choose a whole"),
    (["paper.miniature.curves=5"], "paper.miniature.curves=5: give a list of curves"),
    (["paper.miniature.curves=[5]"], "paper.miniature.curves.0=5: expected a section"),
    (["paper.miniature.curves.0.models=[large]"], "curves.0.models=['large']: choose two"),
    (["paper.miniature.curves.0.models=[large,small]"], "choose two or three of small, medium"),
    (["paper.miniature.curves.0.fractions=[2]"], "curves.0.fractions=[2]: give a list of numbers"),
    (["paper.miniature.curves.0.fractions=[]"], "curves.0.fractions=[]: give fractions, mixes or"),
    (["+paper.miniature.curves.0.simplex=0.3"], "curves.0.simplex=0.3: choose a step that divides"),
    (["+paper.miniature.curves.0.mixes=[[0.5]]"], "curves.0.mixes=[[0.5]]: give a share"),
    (
        ["+paper.miniature.curves.0.kinds=[ddim]"],
        "curves.0.kinds=['ddim']: give a list of names",
    ),
    (["+paper.miniature.curves.0.variants={a: {tiny: x}}"], "a: give weights of small, large"),
    (["paper.miniature.curves=[]"], "paper.miniature.curves=[]: give a list of curves"),
    (["paper.miniature.curves.0.steps=[]"], "curves.0.steps=[]: give at least one value"),
    (["paper.miniature.curves.0.steps=null"], "curves.0.steps=None: give a list of whole numbers"),
    (["paper.miniature.curves.0.steps=[true]"], "curves.0.steps=[True]: give a list of whole"),
    (["+paper.miniature.curves.0.guidance=[nan]"], "curves.0.guidance=[nan]: give a list of"),
    (["+paper.miniature.curves.0.guidance=[1" + "0" * 400 + "]"], "give a list of numbers of at"),
    (["+paper.miniature.curves.0.variants={5: {small: x}}"], "5 is no text; choose another label"),
    (["+paper.miniature.curves.0.variants={a: {medium: x}}"], "a: give weights of small, large"),
    (["paper.full.curves.0.expected.fid=[1]"], "0.expected.fid: has 1 values; give 11, one per"),
    (["paper.full.curves.0.expected.fid=x"], "0.expected.fid='x': give a list of positive"),
    (["paper=fig6", "paper.full.curves.0.expected.mixes=[1]"], "expected.mixes: 1 is no row of 6"),
    (["paper=fig6", "paper.full.curves.0.expected.mixes=[]"], "no row for the shares (0.0, 0.0, 1"),
    (["paper=fig6", "+paper.miniature.curves.0.kinds=[interleave]"], "choose [fraction]; the oth"),
    (["+paper.nonsense=1"], "paper.nonsense: unknown key; choose one of name, kind"),
    (["paper.claims=[C16]"], "paper.claims: C16 is not judged by fig1; choose out of [C1, C2"),
    (["+paper.members=[fig3]"], "paper.members=['fig3']: are for the ledger"),
    (["paper=ledger", "paper.members=[fig3,fig3]"], "give at least one value, and each once"),
    (["paper.name=a/b"], "paper.name='a/b': use only letters"),
    (["paper.miniature=3"], "paper.miniature=3: expected a section with minutes"),
    (["paper.full.curves.0.expected.seconds=[0]"], "expected.seconds=[0]: give a list of positive"),
    (["paper=predict", "paper.miniature.curves.0.steps=[4,8]"], "give each two models, one steps"),
    (["paper=predict", "paper.miniature.curves.0.fractions=[0.5]"], "fractions 0 and 1 among them"),
    (["paper=table6", "paper.miniature.mix=[0.5,0.5,0]"], "give large, which is trained, a share"),
    (["checkpoints.at400K=/no/such"], "checkpoints.at400K: fig1 has no such variant"),
    (["paper=ledger", "paper.members=[ledger]"], "paper.members=['ledger']: leave out ledger"),
    (["checkpoints.at400K=5"], "checkpoints.at400K=5: give a non-empty text"),
    (["paper.kind=plot"], "paper.kind='plot': choose one of arms, criterion, curves"),
    (["paper.claims=C1"], "paper.claims='C1': give a list of names"),
    (["+paper.miniature.probe=1"], "paper.miniature.probe: unknown key"),
    (["paper=fig3", "paper.miniature.probe.steps=1"], "probe.steps=1: choose a whole number"),
    (["paper=table6", "paper.miniature.mix=[0.5,0.5]"], "miniature.mix=[0.5, 0.5]: give a share"),
    (["paper=table6", "paper.miniature.mix=[0.5,0.3,0.1]"], "must add up to 1"),
    (["paper=predict", "paper.miniature.probe.check=maybe"], "probe.check='maybe': choose true"),
    (["scale.pairs=[5]"], "scale.pairs=[5]: give a list of"),
    (["paper=table6", "training=['nonsense=1']"], "nonsense: unknown key"),
    (["paper=table5", "paper.miniature.pair=mnist"], "pair=mnist: choose one of"),
    (
        ["paper=table5", "paper.miniature.pair=fashion_mnist_trio"],
        "paper.miniature.pair=fashion_mnist_trio: has small, medium, large; choose a pair of small",
    ),
    (
        ["paper=table1", "paper.miniature.pair=fashion_mnist_trio"],
        "paper.miniature.pair=fashion_mnist_trio: has small, medium, large; choose a pair of small",
    ),
    (["paper=table1", "paper.miniature.weights={small: x}"], "weights.small='x': choose one of"),
    (["paper=table1", "paper.miniature.pair=null"], "are of the figure's own pair; give pair"),
    (["paper=table5", "paper.miniature.curves.0.steps=[4,5]"], "curves: give one of models [small"),
    (["paper=table5", "paper.miniature.matches=[sigma]"], "matches=['sigma']: give a list of"),
    (["paper=table5", "paper.miniature.matches=[t]"], "matches=['t']: give snr among them"),
    (["paper=table5", "paper.miniature.curves.0.models=[small,medium]"], "models [small, large]"),
    (["paper=table5", "paper.miniature.curves.0.fractions=[0,1]"], "with 0, 0.4 and 1 among"),
    (["weights.uvit=3"], "weights.uvit=3: give a non-empty text"),
    (["paper=table5", "weights.uvit=/no/such/file"], "/no/such/file"),
    (["paper=fig18", "scale=full", "overrides=[]"], "checkpoints.at400K: missing"),
    (["weights.large=/no/such/file", "paper=table7"], "/no/such/file"),
]


@pytest.mark.parametrize(("words", "message"), BAD)
def test_bad_input_is_one_line(words, message, refusal, tmp_path):
    """Catches: a traceback, or images sampled before the bad value is seen."""
    text = refusal(tmp_path / "runs", *words)
    assert message in text


def test_checkpoints_are_keys(refusal, tmp_path):
    """Catches: keys that the command line does not take, a checkpoint that is asked for again."""
    words = ("checkpoints.at400K=random", "checkpoints.at1000K=/no/such")
    message = refusal(tmp_path, "paper=fig18", "scale=full", *words)
    assert "checkpoints.at2000K: missing" in message


def test_bad_input_through_the_command(command, tmp_path):
    """Catches: an exit code of 1, a second line."""
    done = command("paper=fig18", "weights.small=3", f"root={tmp_path}")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("error: weights.small=3: ") and done.stderr.count("\n") == 1
