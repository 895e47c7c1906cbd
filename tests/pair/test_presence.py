"""Which pairs are on this machine, told from their configuration."""

from tstitch.config.cli import compose
from tstitch.pair.presence import weights_here


def pair(name, *words):
    return compose("sample", [f"pair={name}", "evaluation=none", *words])["pair"]


def test_weights_that_are_here(tmp_path, prompt_pair):
    """Catches: a pair offered that would be downloaded, or one that is shipped and left out."""
    assert weights_here(pair("fashion_mnist")) and weights_here(pair("fashion_mnist_trio"))
    assert weights_here(pair("toy", f"hydra.searchpath=[{prompt_pair}]"))
    small = "pair.denoisers.small.weights"
    assert not weights_here(pair("fashion_mnist", f"{small}=shipped:none.pt"))
    assert not weights_here(pair("fashion_mnist", f"{small}=random"))  # no images, but noise
    own = {n: pair("imagenet256_s_xl")["denoisers"][n] for n in ("small", "large")}
    (tmp_path / "w.pt").touch()
    for denoiser in own.values():
        denoiser["weights"] = str(tmp_path / "w.pt")
    held = pair("imagenet256_s_xl") | {"denoisers": own}
    assert not weights_here(held)  # the autoencoder is on the hub
    held["space"] = held["space"] | {"vae": str(tmp_path)}
    assert weights_here(held)
