"""Every bad input ends in one line: full field name, value, remedy; nothing is written."""

import json
import os

import pytest
import torch
import yaml

from models.checkpoints import save_weights

TRIO = ["pair=fashion_mnist_trio", "pair.denoisers.medium.weights=random"]
SMALL, LARGE = "pair.denoisers.small", "pair.denoisers.large"
UNKNOWN = "unknown key"
QUOTES = "quote values"

# overrides, how the message begins, what else it says
BAD = [
    # groups
    (["sampler=plms"], "sampler=plms", "choose one of ddim, ddim_ldm, ddim_leading, ddpm"),
    (["pair=mnist"], "pair=mnist", "fashion_mnist_trio"),
    (["stitch=half"], "stitch=half", "interleave, large_to_small"),
    (["guidance=none"], "guidance=none", "choose one of auto, cfg"),
    # keys
    (["run.num_image=5"], "run.num_image:", "did you mean run.num_images?"),
    (["sampler.step=5"], "sampler.step:", "did you mean sampler.steps?"),
    (["stitch.fractoin=0.5"], "stitch.fractoin:", "did you mean stitch.fraction?"),
    (["guidance.scales=2"], "guidance.scales:", "did you mean guidance.scale?"),
    ([f"{SMALL}.weight=x"], f"{SMALL}.weight:", f"did you mean {SMALL}.weights?"),
    (["+run.foo=1"], "run.foo:", "choose one of root, dir, num_images"),
    (["+sampler.foo=1"], "sampler.foo:", "choose from steps, spacing"),
    (["+stitch.foo=1"], "stitch.foo:", "fraction, axis"),
    (["+guidance.foo=1"], "guidance.foo:", "choose one of scale, channels, formula"),
    (["+pair.foo=1"], "pair.foo:", "choose one of name, classes, space, denoisers"),
    (["+pair.space.foo=1"], "pair.space.foo:", "choose from channels, size"),
    ([f"+{SMALL}.foo=1"], f"{SMALL}.foo:", "choose one of network, weights, sha256"),
    ([f"+{SMALL}.network.foo=1"], f"{SMALL}.network.foo:", "patch_size, hidden_size"),
    (["pair.name=../x"], "pair.name='../x'", "use only letters"),
    (["run.classes=3,7"], "run.classes=3,7", "write a list as run.classes=[3,7]"),
    (["+foo=1"], "foo:", "choose one of pair, sampler, stitch, guidance, run"),
    (["~run.seed"], "run.seed: missing", "give it a value"),
    (["~sampler.steps"], "sampler: give a value", "'steps'"),
    # stitch
    (["stitch.fraction=1.2"], "stitch.fraction=1.2", "from 0 to 1"),
    (["stitch.fraction=-0.1"], "stitch.fraction=-0.1", "from 0 to 1"),
    (["stitch.fraction=nan"], "stitch.fraction=nan", "from 0 to 1"),
    (["stitch.fraction=much"], "stitch.fraction='much'", "from 0 to 1"),
    (["stitch.axis=noise"], "stitch.axis=noise", "choose time or step"),
    (["stitch=fractions", "stitch.fractions=[0.3,0.3]"], "stitch.fractions=", "must be 1"),
    (["stitch=fractions", "stitch.fractions=[0.7,0.7]"], "stitch.fractions=", "with sum 1"),
    (["stitch=fractions", "stitch.fractions=[0.4,0.3,0.3]"], "stitch.fractions=", "2 numbers"),
    (["stitch=fractions", "stitch.fractions=0.4"], "stitch.fractions=0.4", "a list of numbers"),
    (TRIO, "stitch.fraction=0.4", "use Fractions (stitch=fractions)"),
    ([*TRIO, "stitch=fractions", "stitch.fractions=[1]"], "stitch.fractions=", "3 numbers"),
    ([*TRIO, "stitch=decreasing"], "stitch.seed=0", "use Fractions (stitch=fractions)"),
    (["stitch=window", "stitch.start=0.8"], "stitch.start=0.8", "at most end=0.7"),
    (["stitch=boundary", "stitch.boundary=875"], "stitch.boundary=875", "from 0 to 1"),
    (["stitch=boundary", "stitch.high_noise=first"], "stitch.high_noise=first", "small or large"),
    (["stitch=last", "stitch.steps=5"], "stitch.steps=5", "at most 4, which the sampler has"),
    (["stitch=random", "stitch.steps=5"], "stitch.steps=5", "at most 4, which the sampler has"),
    (["stitch=topk", "stitch.steps=5"], "stitch.steps=5", "at most 4, which the sampler has"),
    (["stitch=topk", "stitch.compare=noise"], "stitch.compare=noise", "eps or x0 or v or velocity"),
    (["stitch=search", "stitch.steps=5"], "stitch.steps=5", "at most 4, which the sampler has"),
    (["stitch=search", "stitch.speedup=2"], "stitch.steps=10", "give either steps or speedup"),
    (["stitch=search", "stitch.population=1"], "stitch.population=1", "an integer from 2"),
    (["stitch=topk", "stitch.inputs=0"], "stitch.inputs=0", "an integer from 1"),
    *[
        ([*TRIO, f"stitch={kind}"], f"stitch.{field}=", "use Fractions (stitch=fractions)")
        for kind, field in (
            ("window", "start"),
            ("boundary", "boundary"),
            ("last", "steps"),
            ("random", "steps"),
            ("topk", "steps"),
            ("search", "steps"),
        )
    ],
    (["stitch=explicit"], "stitch.models: missing", "give it a value"),
    (["stitch=explicit", "stitch.models=[0,1]"], "stitch.models=[0, 1]", "choose 4 indices"),
    (["stitch=explicit", "stitch.models=[0,1,2,1]"], "stitch.models=", "from 0 to 1"),
    (["stitch=explicit", "stitch.models=[]"], "stitch.models=[]", "one per step"),
    (["stitch=sketch_render", "stitch.tolerance=0"], "stitch.tolerance=0", "above 0"),
    (["stitch=sketch_render", "stitch.tolerance=-1"], "stitch.tolerance=-1", "from 0 to 1"),
    (["stitch=sketch_render", "stitch.latest=5"], "stitch.latest=5", "at most the sampler's 4"),
    (["stitch=sketch_render", "stitch.earliest=5"], "stitch.earliest=5", "at most the sampler's"),
    (
        ["stitch=sketch_render", "stitch.earliest=3", "stitch.latest=2"],
        "stitch.earliest=3",
        "choose at most latest=2",
    ),
    ([*TRIO, "stitch=sketch_render"], "stitch.tolerance=0.01", "use Fractions"),
    # sampler
    (["sampler.steps=0"], "sampler.steps=0", "from 1 to 1000"),
    (["sampler.steps=1001"], "sampler.steps=1001", "from 1 to 1000"),
    (["sampler.steps=2.5"], "sampler.steps=2.5", "an integer from 1 to 1000"),
    (["sampler.steps=true"], "sampler.steps=True", "an integer from 1 to 1000"),
    (["sampler=ddim", "sampler.steps=1"], "sampler.steps=1", "from 2 to 1000"),
    (["sampler=ddpm", "sampler.steps=1"], "sampler.steps=1", "from 2 to 1000"),
    (["sampler.steps=2", "sampler.order=3"], "sampler.order=3", "from 1 to 2"),
    (["sampler.order=7"], "sampler.order=7", "from 1 to 3"),
    (["sampler.algorithm=heun"], "sampler.algorithm=heun", "choose dpmpp or dpm"),
    (["sampler.spacing=respaced"], "sampler.spacing=respaced", "choose time or logsnr"),
    (["sampler=ddim", "sampler.spacing=time"], "sampler.spacing=time", "respaced or ddim"),
    (
        ["sampler=ddim", "sampler.spacing=ddim", "sampler.steps=99"],
        "sampler.steps=99",
        "choose 91 or 100",
    ),
    (["sampler=ddim", "sampler.eta=1.5"], "sampler.eta=1.5", "from 0 to 1"),
    (["sampler=ddpm", "sampler.variance=none"], "sampler.variance=none", "small or large"),
    # guidance
    (["guidance.scale=nan"], "guidance.scale=nan", "a number of at least 0"),
    (["guidance.scale=-1"], "guidance.scale=-1", "a number of at least 0"),
    (["guidance.scale=strong"], "guidance.scale='strong'", "a number of at least 0"),
    (["guidance.channels=0"], "guidance.channels=0", "of at least 1"),
    (["guidance.formula=uvit"], "guidance.formula='uvit'", "choose one of uncond, cond"),
    # run
    (["run.classes=[10]"], "run.classes=[10]", "whole numbers from 0 to 9"),
    (["run.classes=[-1]"], "run.classes=[-1]", "whole numbers from 0 to 9"),
    (["run.classes=[Bag]"], "run.classes=['Bag']", "whole numbers from 0 to 9"),
    (["run.classes=[1.5]"], "run.classes=[1.5]", "whole numbers from 0 to 9"),
    (["run.classes=7"], "run.classes=7", "a list of class indices"),
    (["run.classes=all"], "run.classes='all'", "balanced, random"),
    (["run.classes=[]"], "run.classes=[]", "a list of class indices"),
    (["run.num_images=0"], "run.num_images=0", "of at least 1"),
    (["run.num_images=1e3"], "run.num_images=1000.0", "a whole number"),
    (["run.batch_size=0"], "run.batch_size=0", "of at least 1"),
    (["run.seed=-1"], "run.seed=-1", "from 0 to"),
    (["run.dtype=fp64"], "run.dtype='fp64'", "fp32, tf32, bf16, fp16"),
    (["run.dtype=tf32"], "run.dtype=tf32", "choose fp32 or bf16"),
    (["run.device=tpu"], "run.device='tpu'", "auto, cpu, cuda, mps"),
    (["run.dir='a\nb'"], "run.dir='a\\nb'", "a path of one line"),
    (["run.dir='a\0b'"], "run.dir='a\\x00b'", "a path of one line"),
    (["run.dir='a\udcffb'"], "run.dir='a\\udcffb'", "in UTF-8"),
    (["run.dir=''"], "run.dir=''", "non-empty"),
    (["run.dir=null", "run.root=''"], "run.root=''", "non-empty"),
    (["run.export=gif"], "run.export='gif'", "choose one of png, mp4"),
    (["run.export=mp4"], "run.export=mp4", "makes images; choose png"),
    (["run.overwrite=1"], "run.overwrite=1", "true or false"),
    # engine
    (["engine=fast"], "engine=fast", "choose one of auto, plain"),
    (["engine.compiled=true"], "engine.compiled:", "did you mean engine.compile?"),
    (["+engine.foo=1"], "engine.foo:", "choose one of compile, cuda_graphs, offload"),
    (["engine.compile=fast"], "engine.compile='fast'", "true, false or auto"),
    (["engine.cuda_graphs=1"], "engine.cuda_graphs=1", "true, false or auto"),
    (["engine.cuda_graphs=true"], "engine.cuda_graphs=true", "choose engine.cuda_graphs=auto"),
    (["engine.offload=auto"], "engine.offload='auto'", "true or false"),
    (["engine.offload=true"], "engine.offload=true", "choose engine.offload=false"),
    (["engine.threads=0"], "engine.threads=0", "of at least 1"),
    (["engine.threads=all"], "engine.threads='all'", "a whole number"),
    (["engine.keep_memory=2"], "engine.keep_memory=2", "true, false or auto"),
    # pair
    ([f"{LARGE}.weights=nowhere.pt"], f"{LARGE}.weights: 'nowhere.pt'", "no such file"),
    ([f"{LARGE}.weights=null"], f"{LARGE}.weights=None", "non-empty"),
    ([f"{LARGE}.sha256=abc"], f"{LARGE}.sha256='abc'", "64 hexadecimal digits"),
    ([f"+{SMALL}.network.num_classes=5"], f"{SMALL}.network.num_classes=5", "need 10"),
    ([f"+{SMALL}.network.in_channels=3"], f"{SMALL}.network.in_channels=3", "need 1"),
    ([f"+{SMALL}.network.input_size=32"], f"{SMALL}.network.input_size=32", "need 28"),
    ([f"{SMALL}.network.patch_size=5"], f"{SMALL}.network.patch_size=5", "a divisor of"),
    ([f"{SMALL}.network.num_heads=3"], f"{SMALL}.network.hidden_size=64", "num_heads=3"),
    ([f"{SMALL}.network.patch_size=0"], f"{SMALL}.network", ""),
    ([f"{SMALL}.network.hidden_size=wide"], f"{SMALL}.network", ""),
    ([f"{SMALL}.network=5"], f"{SMALL}.network=5", "a section with _target_"),
    (["pair.denoisers=5"], "pair.denoisers", "at least one denoiser"),
    (["pair.classes=[]"], "pair.classes=[]", "a list of names"),
    (["pair.space.channels=2"], "pair.space.channels=2", "1 (greyscale) or 3"),
    # classes that users name
    (["sampler._target_=samplers.Absent"], "sampler._target_=samplers.Absent", "no such class"),
    (["sampler._target_=nowhere.Euler"], "sampler._target_=nowhere.Euler", "no such class"),
    (["sampler._target_=builtins.dict"], "sampler._target_=builtins.dict", "is no Sampler"),
    (["sampler._target_=samplers"], "sampler._target_=samplers", "give MODULE.CLASS"),
    (["stitch._target_=builtins.dict"], "stitch._target_=builtins.dict", "no StitchSchedule"),
    (["pair.space._target_=builtins.dict"], "pair.space._target_=builtins.dict", "is no space"),
    (
        [f"{SMALL}.network._target_=builtins.dict"],
        f"{SMALL}.network._target_=builtins.dict",
        "is no torch.nn.Module",
    ),
    # Hydra's grammar
    (["run.dir=a=b"], "run.dir=a=b", QUOTES),
    (["run.dir=a=b"], "run.dir=a=b", """'run.dir="a=b"'"""),
    (["run.dir=~/x"], "run.dir=~/x", """'run.dir="~/x"'"""),
    (["run.dir=a#b"], "run.dir=a#b", """'run.dir="a#b"'"""),
    (["run.dir=a,b"], "run.dir=a,b", """or one text as 'run.dir="a,b"'"""),
    (["stitch.fractions=[0.5"], "stitch.fractions=[0.5", QUOTES),
    (["run.seed"], "run.seed", QUOTES),
    (["run.seed=${nothing}"], "run.seed", "'nothing' not found"),
    (["sampler=5"], "Config group override", "name a file of the group, e.g. sampler=ddim"),
]


@pytest.mark.parametrize(
    ("overrides", "start", "remedy"), BAD, ids=[f"bad{number}" for number in range(len(BAD))]
)
def test_bad_value(tmp_path, refusal, overrides, start, remedy):
    """Catches: a traceback, a message without field or remedy, a directory made before the check
    (which a corrected command would then find taken)."""
    message = refusal(tmp_path / "run", *overrides)
    assert message.startswith(start), message
    assert remedy in message, message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_device_that_is_not_there(tmp_path, refusal, sample, device):
    """Catches: torch's own assertion for a GPU that the machine does not have."""
    there = torch.cuda if device == "cuda" else torch.backends.mps
    if there.is_available():
        assert (sample(tmp_path / "run", f"run.device={device}") / "samples.npz").is_file()
    else:
        message = refusal(tmp_path / "run", f"run.device={device}")
        assert message.startswith(f"run.device={device}: ") and "choose run.device=cpu" in message


class Evil:
    """Unpickling it the careless way makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def write_wrong_network(path, network):
    save_weights(network("small", 1).state_dict(), path, metadata={})


def write_code(path, network):
    torch.save({"ema": network("large", 1).state_dict(), "args": Evil(f"{path}.ran")}, path)


def write_text(path, network):
    path.write_text("these are no weights")


def write_cut(path, network):
    save_weights(network("large", 1).state_dict(), path, metadata={})
    path.write_bytes(path.read_bytes()[:100_000])


@pytest.mark.parametrize(
    ("write", "word"),
    [
        (write_wrong_network, "does not fit DiT"),
        (write_code, "not run"),
        (write_text, "no checkpoint"),
        (write_cut, "damaged"),
    ],
    ids=["network", "code", "text", "cut"],
)
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_unusable_weights(tmp_path, sample, refusal, network, write, word, suffix):
    """Catches: tracebacks and executed code; a failed start that keeps its directory for ever."""
    path = tmp_path / f"large.{suffix}"
    write(path, network)
    message = refusal(tmp_path / "run", f"{LARGE}.weights={path}", "run.num_images=1")
    assert message.startswith(f"{LARGE}.weights: {path}"), message
    assert not os.path.exists(f"{path}.ran")
    if suffix == "pt" or write is not write_code:
        assert word in message, message
    assert (sample(tmp_path / "run", "run.num_images=1") / "samples.npz").is_file()


def test_other_digest(tmp_path, refusal, network):
    """Catches: an expected digest that is read and never compared."""
    path = tmp_path / "large.safetensors"
    write_wrong_network(path, network)
    message = refusal(tmp_path / "run", f"{LARGE}.weights={path}", f"{LARGE}.sha256='{'0' * 63}1'")
    assert message.startswith(f"{LARGE}.weights: ") and "sha256" in message.lower(), message


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("run.seed=1", "run.seed: 0 -> 1"),
        ("run.classes=random", "run.classes"),
        ("run.dtype=bf16", 'run.dtype: "fp32" -> "bf16"'),
        ("engine.compile=true", "engine.compile: false -> true"),
        ("guidance.scale=2", "guidance.scale: 1.5 -> 2"),
        ("guidance.channels=1", "guidance.channels: 3 -> 1"),
        ("stitch.fraction=0.6", "stitch"),
        ("sampler.order=1", "sampler.order: 2 -> 1"),
        ("sampler=ddim", "sampler._target_"),
        (f"{SMALL}.network.num_heads=4", "networks.small.num_heads: 2 -> 4"),
    ],
)
def test_directory_of_another_run(whole, refusal, override, key):
    """Catches: a value that decides the images but is not in the fingerprint."""
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    message = refusal(whole, override)
    assert message.startswith(f"run.dir={whole}: belongs to another run ("), message
    assert key in message and "run.overwrite=true" in message, message
    after = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("content", ["", "decides: 5", "[1, 2", "decides: {}\n- 1"])
def test_damaged_config(tmp_path, whole, refusal, content):
    """Catches: a traceback of the YAML reader for a file that an editor broke."""
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / "samples.npz").write_bytes((whole / "samples.npz").read_bytes())
    (directory / "config.yaml").write_text(content)
    message = refusal(directory)
    assert message.startswith(f"run.dir={directory}: ") and "run.overwrite=true" in message


def test_directory_with_other_files(tmp_path, refusal):
    """Catches: a run that settles among a user's own files."""
    (tmp_path / "thesis.tex").write_text("mine")
    message = refusal(tmp_path)
    assert message.startswith(f"run.dir={tmp_path}: holds thesis.tex"), message
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_config_holds_what_was_run(whole):
    """Catches: a config.yaml that is not the resolved configuration with its fingerprint."""
    stored = yaml.safe_load((whole / "config.yaml").read_text())
    metrics = json.loads((whole / "metrics.json").read_text())
    assert stored["fingerprint"] == metrics["fingerprint"]
    assert stored["config"]["run"]["dir"] == str(whole)
    assert stored["config"]["sampler"]["steps"] == 4
