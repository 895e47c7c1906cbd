"""Whether a run is long enough for its networks to be compiled and recorded first."""

# Preparing a network takes seconds to a minute and saves some milliseconds of every evaluation of
# a batch, of a small network (launches) as of a large one (fused kernels): docs/performance.md.
LEAST_EVALUATIONS = 2000
PREPARED_ON = ("cuda",)  # types of device where `auto` prepares at all


def evaluations_per_process(num_images: int, batch_size: int, steps: int, processes: int) -> int:
    """Evaluations of a batch that the busiest process makes for a whole run."""
    batches = -(-num_images // batch_size)
    return -(-batches // processes) * steps


def preparations(device_type: str, evaluations: int | None) -> tuple[bool, ...]:
    """Whether `engine=auto` compiles and records, then what it does for runs of another length.

    Args:
        device_type: cuda, cpu or mps.
        evaluations: of `evaluations_per_process`; None = not known, many.
    """
    if device_type not in PREPARED_ON:
        return (False,)
    enough = evaluations is None or evaluations >= LEAST_EVALUATIONS
    return enough, not enough
