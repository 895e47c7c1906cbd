"""Installs the project in place: `pip install -e .`; tests need `pip install -e '.[test]'`."""

import re
from pathlib import Path

from setuptools import find_packages, setup

INIT = (Path(__file__).parent / "tstitch" / "__init__.py").read_text(encoding="utf-8")

setup(
    name="tstitch",
    version=re.search(r'^__version__ = "(.+)"', INIT, re.MULTILINE)[1],
    description="Trajectory stitching of diffusion models, as a research codebase",
    license="Apache-2.0",
    python_requires=">=3.11",
    # The clone itself on the import path: then a folder called tstitch is no package of that name.
    package_dir={"": "."},
    packages=find_packages(include=["tstitch*", "models*", "samplers*", "evaluation*"]),
    install_requires=[
        "torch>=2.6",
        "torchvision>=0.21",
        "timm>=1.0",
        "diffusers>=0.35.2",  # its hooks
        "transformers>=4.44",  # the text encoders of diffusers' pipelines
        "safetensors>=0.4",
        "numpy>=1.26",
        "scipy>=1.11",
        "torch-fidelity>=0.4",
        "hydra-core>=1.3.2",
        "gdown>=5.2",
        "huggingface-hub>=0.25",
        "filelock>=3.13",
        "packaging>=23",
        "pydantic>=2.7",
        "pyyaml>=6",
        "pillow>=10.1",
        "tqdm>=4.66",
        "matplotlib>=3.8",
        "plotly>=5.20",
        "wandb>=0.20",
    ],
    extras_require={
        "cluster": ["hydra-submitit-launcher>=1.2"],  # hydra/launcher=submitit_slurm
        "demo": ["gradio>=6"],  # scripts/demo.py
        "docs": ["mkdocs-material>=9.5"],  # mkdocs build --strict
        "video": ["imageio>=2.31", "imageio-ffmpeg>=0.4.9"],  # run.export=mp4
        # The last two: a test installs a clone without fetching anything.
        "test": [
            "accelerate>=1.2",  # offload and LoRA of diffusers' pipelines
            "peft>=0.17",
            "DeepCache>=0.1.1",
            "tomesd>=0.1.3",
            "nbclient>=0.10",  # docs/tutorial.ipynb
            "ipykernel>=6",
            "selenium>=4.20",  # the demo, where Chromium is
            "pytest>=8",
            "pytest-xdist>=3.8",
            "ruff>=0.6",
            "mypy>=1.15",
            "types-PyYAML>=6",
            "setuptools>=64",
            "wheel>=0.40",
        ],  # fmt: skip
    },
)
