"""A block of modular diffusers that stitches the pipeline it is in."""

from typing import Any

from diffusers import ModelMixin
from diffusers.modular_pipelines import ModularPipelineBlocks, PipelineState
from diffusers.modular_pipelines.modular_pipeline_utils import ComponentSpec, InputParam

from tstitch.pipelines.components import NAMES
from tstitch.pipelines.stitching import stitch
from tstitch.runtime.errors import UserError


class StitchStep(ModularPipelineBlocks):
    """Before the denoising loop: hands early steps to the component `small_transformer`.

    Goes anywhere before the loop: `blocks.sub_blocks.insert("stitch", StitchStep(), 0)`. Inputs
    are `fraction`, `axis`, `boundary` and `schedule` of `tstitch.stitch`.

    Args:
        component: the large network's; "unet" in SDXL.

    Raises:
        UserError: another component.
    """

    def __init__(self, component: str = "transformer") -> None:
        if component not in NAMES:
            raise UserError(f"component={component!r}: choose {' or '.join(NAMES)}")
        super().__init__()
        self._small = f"small_{component}"

    @property
    def description(self) -> str:
        """For diffusers' listings."""
        return "Lets a small network run the early, noisy steps (trajectory stitching)."

    @property
    def expected_components(self) -> list[ComponentSpec]:
        """The small network, which the pipeline holds beside the large one."""
        return [ComponentSpec(self._small, ModelMixin)]

    @property
    def inputs(self) -> list[InputParam]:
        """As of `tstitch.stitch`; all optional."""
        return [InputParam(name) for name in ("fraction", "axis", "boundary", "schedule")]

    def __call__(self, components: Any, state: PipelineState) -> tuple[Any, PipelineState]:
        """Stitches before every run."""
        given = self.get_block_state(state)
        stitch(
            components,
            getattr(components, self._small),
            given.fraction,
            axis=given.axis,
            boundary=given.boundary,
            schedule=given.schedule,
        )
        return components, state
