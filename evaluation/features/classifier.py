"""A small classifier of 28 x 28 greyscale images as a feature extractor that needs no download.

Its features give a Frechet distance of their own, "FID (Fashion-MNIST classifier)", which compares
samplers of one data set; the numbers are not FID.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.features.float32 import full_float32

SIDE = 28
WIDTHS = (32, 64, 128)
SPATIAL_CHANNELS = 7  # as in ADM's sFID
FIDELITY_NAME = "fashion-mnist-classifier"


class Classifier(nn.Module):
    """Two convolutions, each halving the map, and a hidden layer over all of its positions."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        first, second, hidden = WIDTHS
        self.stem = _block(1, first)
        self.middle = _block(first, second)
        positions = (SIDE // 4) ** 2
        self.hidden = nn.Sequential(
            nn.Linear(second * positions, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()
        )
        self.head = nn.Linear(hidden, num_classes)

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The map (N, 64, 7, 7) after the convolutions, the hidden features (N, 128); all >= 0.

        Args:
            images: (N, 1, 28, 28) in 0..255, any dtype.
        """
        middle = self.middle(self.stem(images.float() / 127.5 - 1.0))
        return middle, self.hidden(middle.flatten(1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, 1, 28, 28) in 0..255."""
        return self.head(self.features(images)[1])


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )


class ClassifierExtractor(nn.Module):
    """Features of a trained Classifier, in float32.

    Args:
        weights: safetensors file of scripts/train_classifier.py.
        name: of the feature space, part of the name of every metric measured in it.

    Raises:
        ValueError: a file that does not hold such a classifier, or an empty name.
    """

    def __init__(self, weights: Path, name: str = "Fashion-MNIST classifier") -> None:
        super().__init__()
        if not name:
            raise ValueError("name='': would pass for Inception's features; name the classifier")
        self.space = name
        self._network = _load(Path(weights))
        self.num_classes: int = self._network.head.out_features

    def check(self, height: int, width: int) -> None:
        """Raises ValueError for images of another size than 28 x 28."""
        if (height, width) != (SIDE, SIDE):
            raise ValueError(
                f"{width}x{height} images: the classifier takes {SIDE}x{SIDE}; choose an "
                "extractor for this size"
            )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features of uint8 images (N, 3, 28, 28) whose three channels are equal.

        Returns:
            float32 "pool" (N, 128), "spatial" (N, 7 * 7 * 7; positions outermost, channels
            fastest, as in ADM's evaluator), "logits" (N, K) without bias; int64 "classes" (N,).

        Raises:
            ValueError: another size, or images in colour.
        """
        self.check(*images.shape[2:])
        grey = images[:, :1]
        if not torch.equal(images, grey.expand_as(images)):
            raise ValueError("the images are in colour, the classifier takes grey; convert them")
        with full_float32():
            middle, pool = self._network.features(grey)
            logits = F.linear(pool, self._network.head.weight)
        return {
            "pool": pool,
            "spatial": middle[:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1),
            "logits": logits,
            "classes": (logits + self._network.head.bias).argmax(1),
        }


def register_with_torch_fidelity() -> None:
    """Makes the extractor known to torch-fidelity, once, as "fashion-mnist-classifier".

    Afterwards `torch_fidelity.calculate_metrics(feature_extractor="fashion-mnist-classifier",
    feature_extractor_weights_path=PATH, ...)` measures with it.
    """
    from torch_fidelity import FeatureExtractorBase, register_feature_extractor
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

    class FidelityClassifier(FeatureExtractorBase):
        # torch-fidelity hands every argument of calculate_metrics on to the extractor.
        def __init__(  # type: ignore[no-untyped-def]
            self, name, features_list, *, feature_extractor_weights_path=None,
            input1=None, input2=None, batch_size=None, isc=None, fid=None, kid=None, prc=None,
            ppl=None, feature_extractor=None, feature_layer_isc=None, feature_layer_fid=None,
            feature_layer_kid=None, feature_layer_prc=None, feature_extractor_internal_dtype=None,
            feature_extractor_compile=None, isc_splits=None, kid_subsets=None,
            kid_subset_size=None, kid_kernel=None, kid_kernel_poly_degree=None,
            kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=None, kid_kernel_rbf_sigma=None,
            ppl_epsilon=None, ppl_reduction=None, ppl_sample_similarity=None,
            ppl_sample_similarity_resize=None, ppl_sample_similarity_dtype=None,
            ppl_discard_percentile_lower=None, ppl_discard_percentile_higher=None,
            ppl_z_interp_mode=None, prc_neighborhood=None, prc_batch_size=None,
            samples_shuffle=None, samples_find_deep=None, samples_find_ext=None,
            samples_ext_lossy=None, samples_resize_and_crop=None, datasets_root=None,
            datasets_download=None, cache_root=None, cache=None, input1_cache_name=None,
            input1_model_z_type=None, input1_model_z_size=None, input1_model_num_classes=None,
            input1_model_num_samples=None, input2_cache_name=None, input2_model_z_type=None,
            input2_model_z_size=None, input2_model_num_classes=None,
            input2_model_num_samples=None, rng_seed=None, save_cpu_ram=None, verbose=None,
        ) -> None:  # fmt: skip
            super().__init__(name, features_list)
            if feature_extractor_weights_path is None:
                raise ValueError("feature_extractor_weights_path=None: give the classifier's file")
            self._extractor = ClassifierExtractor(feature_extractor_weights_path)

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return ("pool", "spatial", "logits")

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return {"isc": "logits", "fid": "pool", "kid": "pool", "prc": "pool"}[metric]

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        def forward(self, input: Tensor) -> tuple[Tensor, ...]:
            features = self._extractor(input)
            return tuple(features[name] for name in self.features_list)

    if FIDELITY_NAME not in FEATURE_EXTRACTORS_REGISTRY:
        register_feature_extractor(FIDELITY_NAME, FidelityClassifier)


def _load(path: Path) -> Classifier:
    """The classifier of a file, frozen, in evaluation mode, on the CPU."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"weights={path}: cannot be read as safetensors ({reason}); get the file again"
        ) from error
    bias = state.get("head.bias")
    network = Classifier(len(bias) if bias is not None and bias.ndim == 1 else 1)
    own = network.state_dict()
    if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in state.items()}:
        raise ValueError(
            f"weights={path}: is not this classifier; give a file of scripts/train_classifier.py"
        )
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)
