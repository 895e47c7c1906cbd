"""Keys of a configuration as a command line gives them."""

from typing import Any


def dotted_keys(tree: Any, prefix: str = "") -> list[str]:
    """Dotted names of all values of nested mappings; the prefix itself for a value."""
    if not isinstance(tree, dict):
        return [prefix]
    return [
        key
        for name, branch in tree.items()
        for key in dotted_keys(branch, f"{prefix}.{name}" if prefix else str(name))
    ]
