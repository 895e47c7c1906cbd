"""Which entry of a checkpoint is read: layouts of many training codes, with real files."""

import pytest
import torch
from torch import nn

from models.checkpoints import CheckpointError, find_entry, load_weights


class Net(nn.Module):
    """Layers, a fixed table that is computed anew, one that is not, and a counter."""

    recomputed = ("pos_embed",)

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(3, 4)
        self.blocks = nn.ModuleList(nn.Linear(4, 4, bias=False) for _ in range(2))
        self.pos_embed = nn.Parameter(torch.arange(5.0)[None], requires_grad=False)
        self.features = nn.Parameter(torch.ones(6), requires_grad=False)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))


TRAINED = ["one.weight", "one.bias", "blocks.0.weight", "blocks.1.weight"]


def state(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    drawn = {k: torch.randn(v.shape, generator=generator) for k, v in Net().state_dict().items()}
    return drawn | {"count": torch.tensor(seed)}


RAW, EMA, OTHER = state(1), state(2), state(3)


def behind(prefix: str, weights: dict) -> dict:
    return {prefix + key: value for key, value in weights.items()}


def within(part: str, weights: dict) -> dict:
    return {key.replace("blocks.", f"blocks.{part}."): value for key, value in weights.items()}


def some(names: list[str], weights: dict) -> dict:
    return {name: weights[name] for name in names}


ALL_LISTED = [EMA[name] for name, _ in Net().named_parameters()]
TRAINED_LISTED = [EMA[name] for name, p in Net().named_parameters() if p.requires_grad]
FIXED = {"pos_embed", "features", "count"}  # what lists and dicts of parameters may lack
COUNTERS = {"initted": torch.tensor(True), "step": torch.tensor([9])}
MOMENTS = {"state": {0: {"exp_avg": torch.ones(4, 3), "step": torch.tensor(3.0)}}}

# file content, the entry that is read, names that are not averaged
READ = {
    "plain": (EMA, "", ()),
    "plain_counters": (EMA | {"step": 5, "n_averaged": torch.tensor(7), "opt": MOMENTS}, "", ()),
    "ema": ({"model": RAW, "ema": EMA, "opt": MOMENTS, "args": None}, "ema", ()),
    "model": ({"model": EMA, "optimizer": MOMENTS, "epoch": 3}, "model", ()),
    "ema_none": ({"state_dict": EMA, "ema": None, "ema_decay": 0.999}, "state_dict", ()),
    "ema_counters": ({"net": EMA, "ema": {"decay": torch.tensor(0.9)}}, "net", ()),
    "model_ema": ({"model": RAW, "model_ema": EMA}, "model_ema", ()),
    "timm": ({"state_dict": RAW, "state_dict_ema": EMA}, "state_dict_ema", ()),
    "ema_state_dict": ({"ema_state_dict": EMA, "model": RAW}, "ema_state_dict", ()),
    "camel": ({"model": RAW, "modelEMA": EMA}, "modelEMA", ()),
    "basicsr": ({"params": RAW, "params_ema": EMA}, "params_ema", ()),
    "nested": ({"net": RAW, "ema": {"decay": 0.9, "shadow": EMA}}, "ema/shadow", ()),
    "twice": ({"model": RAW, "ema": EMA, "ema_again": dict(EMA)}, "ema", ()),
    "list": ({"model": RAW, "ema": ALL_LISTED}, "ema", {"count"}),
    "list_trained": ({"model": RAW, "ema": {"shadow_params": TRAINED_LISTED}}, "ema/shadow_params",
                     FIXED),
    "trained": ({"model": RAW, "model_ema": some(TRAINED, EMA)}, "model_ema", FIXED),
    "ema_pytorch": (behind("online_model.", RAW) | behind("ema_model.", EMA) | COUNTERS,
                    "ema_model.", ()),
    "ema_pytorch_in_trainer": (
        {"model": RAW, "ema": behind("online_model.", RAW) | behind("ema_model.", EMA) | COUNTERS},
        "ema/ema_model.", ()),
    "ema_alone": (behind("ema_model.", EMA) | COUNTERS, "ema_model.", ()),
    "swa": ({"n_averaged": torch.tensor(9)} | behind("module.", EMA), "module.", ()),
    "swa_beside": ({"net": RAW, "swa": {"n_averaged": torch.tensor(9)} | behind("module.", EMA)},
                   "swa/module.", ()),
    "lightning": ({"state_dict": behind("model.", EMA), "loops": {}, "callbacks": {}},
                  "state_dict/model.", ()),
    "lightning_ema": ({"state_dict": behind("net.", RAW) | behind("net_ema.", EMA)},
                      "state_dict/net_ema.", ()),
    "callback": ({"state_dict": behind("net.", RAW), "callbacks": {"EMA": {"weights": EMA}}},
                 "callbacks/EMA/weights", ()),
    "beside_others": (behind("denoiser.", EMA) | {"vae.conv.weight": torch.ones(9)},
                      "denoiser.", ()),
    "ddp": (behind("module.", EMA), "module.", ()),
    "compiled_ddp": (behind("module._orig_mod.", EMA), "module._orig_mod.", ()),
    "fsdp": (behind("_fsdp_wrapped_module.", within("_fsdp_wrapped_module", EMA)), "", ()),
    "middle": (behind("model.", within("_orig_mod", EMA)), "model.", ()),
    "averaged_optimizer": ({"model": RAW, "optimizer_states": [{"ema": ALL_LISTED}]},
                           "optimizer_states/0/ema", {"count"}),
    "moments_by_name": ({"model": EMA, "optim": {"exp_avg": RAW, "exp_avg_sq": OTHER}}, "model",
                        ()),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_entry_that_is_read(tmp_path, case):
    """Catches: raw weights where averaged ones are beside them, or right ones refused behind a
    prefix; an entry that is named wrongly."""
    content, entry, unaveraged = READ[case]
    torch.save(content, tmp_path / "c.pt")
    network = Net()
    assert load_weights(network, tmp_path / "c.pt") == entry
    for name, value in network.state_dict().items():
        wanted = RAW if name in unaveraged else EMA
        assert torch.equal(value, wanted[name]), name
    with torch.device("meta"):
        assert find_entry(Net(), tmp_path / "c.pt") == entry


LISTED_BACKWARDS = ALL_LISTED[::-1]
# file content, words of the message
REFUSED = {
    "two_averages": ({"model": RAW, "model_ema1": EMA, "model_ema2": OTHER},
                     ["'model_ema1'", "'model_ema2'"]),
    "two_raw": ({"model": RAW, "state_dict": OTHER}, ["'model'", "'state_dict'"]),
    "two_prefixes": (behind("a.", RAW) | behind("b.", OTHER), ["'a.'", "'b.'"]),
    "list_of_others": ({"model": RAW, "ema": LISTED_BACKWARDS}, ["'model'", "'ema'"]),
    "list_too_short": ({"model": RAW, "ema": {"shadow_params": ALL_LISTED[:3]}},
                       ["'model'", "'ema/shadow_params'"]),
    "average_of_another": ({"model": RAW, "model_ema": EMA | {"one.bias": torch.ones(9)}},
                           ["'model'", "'model_ema'"]),
    "flat_average": ({"model": RAW, "ema": torch.ones(99)}, ["'model'", "'ema'"]),
    "squashed_average": ({"state_dict": behind("model.", RAW) | behind("model_ema.", {
        k.replace(".", ""): v for k, v in EMA.items()})},
        ["'state_dict/model.'", "'state_dict/model_ema.'"]),
    "prefix_and_missing": (behind("model.", some(TRAINED, EMA)),
                           ["'model.'", "2 missing (features, count)", "a part of the network"]),
    "prefix_and_surplus": (behind("net.", EMA | {"head.weight": torch.ones(2)}),
                           ["'net.'", "1 surplus (net.head.weight)", "the variant"]),
    "averaged_and_surplus": ({"ema": EMA | {"head.weight": torch.ones(2)}}, ["'ema'", "surplus"]),
    "another_network": ({"layers.0.w": torch.ones(2)}, ["6 missing", "wrong model"]),
    "not_computed_anew": ({k: v for k, v in EMA.items() if k != "features"}, ["(features)"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_entry_that_is_not_guessed(tmp_path, case):
    """Catches: one of two identities taken in silence, or a message that blames the wrong one."""
    content, words = REFUSED[case]
    torch.save(content, tmp_path / "c.pt")
    network = Net()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for call in (load_weights, find_entry):
        with pytest.raises(CheckpointError) as caught:
            call(network, tmp_path / "c.pt")
        message = str(caught.value)
        assert all(word in message for word in words) and "\n" not in message, message
    assert all(torch.equal(v, before[name]) for name, v in network.state_dict().items())


def test_names_that_differ_by_a_wrapper_only(tmp_path):
    """Catches: two names that silently become one when a wrapper's part is cut out."""
    network = nn.Module()
    network.a = nn.Parameter(torch.ones(1))
    torch.save({"module.a": torch.ones(1) * 2, "a": torch.zeros(1)}, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match="both fit"):
        load_weights(network, tmp_path / "c.pt")


def test_own_part_called_like_a_wrapper(tmp_path):
    """Catches: `module` cut out of the names of a network that has one of its own."""
    network = nn.Module()
    network.module = nn.Linear(2, 2)
    torch.save({"module.weight": torch.ones(2, 2), "module.bias": torch.ones(2)}, tmp_path / "c.pt")
    assert load_weights(network, tmp_path / "c.pt") == ""
    assert network.module.bias.sum() == 2


def test_fixed_table(tmp_path):
    """Catches: a computed table that is demanded, or overwrites the one in the file."""
    network = Net()
    torch.save({k: v for k, v in EMA.items() if k != "pos_embed"}, tmp_path / "without.pt")
    load_weights(network, tmp_path / "without.pt")
    assert torch.equal(network.pos_embed, torch.arange(5.0)[None])
    torch.save(EMA, tmp_path / "with.pt")
    load_weights(network, tmp_path / "with.pt")
    assert torch.equal(network.pos_embed, EMA["pos_embed"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_floats_are_converted(tmp_path, dtype):
    """Catches: a rule against dtypes that refuses half or double precision."""
    stored = {k: v.to(dtype) if v.is_floating_point() else v for k, v in EMA.items()}
    torch.save(stored, tmp_path / "c.pt")
    network = Net()
    load_weights(network, tmp_path / "c.pt")
    assert all(torch.equal(v, stored[k].to(v.dtype)) for k, v in network.state_dict().items())


UNUSABLE = {
    "int8": (lambda t: (t * 50).to(torch.int8), "is int8, probably quantised"),
    "uint8": (lambda t: t.abs().to(torch.uint8), "is uint8, probably quantised"),
    "bool": (lambda t: t > 0, "is bool, probably quantised"),
    "float8": (lambda t: t.to(torch.float8_e4m3fn), "is float8_e4m3fn, probably quantised"),
    "complex": (lambda t: t.to(torch.complex64), "is complex64"),
    "sparse": (lambda t: t.to_sparse(), "no plain tensor"),
    "nan": (lambda t: t / 0 * 0, "infinite or not a number"),
    "double": (lambda t: t.double() * 1e300, "infinite or not a number"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_weights_that_are_no_finite_floats(tmp_path, kind):
    """Catches: quantised weights cast without their scale, values lost in the cast."""
    change, words = UNUSABLE[kind]
    torch.save({"ema": EMA | {"one.weight": change(EMA["one.weight"])}}, tmp_path / "c.pt")
    network = Net()
    before = network.one.weight.clone()
    with pytest.raises(CheckpointError, match=words) as caught:
        load_weights(network, tmp_path / "c.pt")
    assert "one.weight" in str(caught.value) and "\n" not in str(caught.value)
    assert torch.equal(network.one.weight, before) and torch.equal(network.features, torch.ones(6))


def test_counter_that_was_averaged(tmp_path):
    """Catches: an integer buffer cut off to a whole number without a word."""
    torch.save(EMA | {"count": torch.tensor(2.5)}, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match="count is float32 and does not fit torch.int64"):
        load_weights(Net(), tmp_path / "c.pt")
