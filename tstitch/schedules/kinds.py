"""The schedules that are found by measuring, and who finds each."""

from typing import Any

from samplers.stitch import Budget, ResolvedSchedule, Search, TopK
from tstitch.config.cli import instantiate, locate
from tstitch.runtime.errors import UserError
from tstitch.schedules.budget import BudgetResolver
from tstitch.schedules.resolver import Resolver
from tstitch.schedules.search import SearchResolver
from tstitch.schedules.topk import TopKResolver

RESOLVERS: dict[type[ResolvedSchedule], Resolver[Any]] = {
    Budget: BudgetResolver(),
    TopK: TopKResolver(),
    Search: SearchResolver(),
}


def is_resolved(section: Any) -> bool:
    """Whether a stitch section names a kind that is found by measuring, resolved or not.

    Raises:
        UserError: it names a class that is not there.
    """
    if not isinstance(section, dict) or "_target_" not in section:
        return False
    kind = locate(section["_target_"], "stitch._target_")
    return isinstance(kind, type) and issubclass(kind, ResolvedSchedule)


def unresolved(section: Any) -> ResolvedSchedule | None:
    """The schedule of a stitch section that is to be found yet; None if there is nothing to find.

    Raises:
        UserError: a bad field.
    """
    if not is_resolved(section) or section.get("models"):
        return None
    schedule: ResolvedSchedule = instantiate(section, "stitch")
    return schedule


def resolver_of(schedule: ResolvedSchedule) -> Resolver[Any]:
    """Who finds it; a kind that is derived from another is found as that one.

    Raises:
        UserError: nobody does.
    """
    for kind in type(schedule).__mro__:
        if kind in RESOLVERS:
            return RESOLVERS[kind]
    raise UserError(
        f"stitch._target_={type(schedule).__name__}: nothing resolves it; give stitch.models"
    )
