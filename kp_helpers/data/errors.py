"""The errors of the data layer, and the one for a name that is not among those that exist."""

import difflib
from collections.abc import Sequence


class DataError(ValueError):
    """Input that cannot be used; the sentence names file or field, what was found and what was expected."""


class DamagedImage(DataError):
    """A file that is no whole image: empty, of another kind, or cut off; loaders can be told to skip it."""


def known(name: str, names: Sequence[str], field: str) -> str:
    """`name` if it is one of `names`, else a DataError that says the nearest."""
    if name not in names:
        near = difflib.get_close_matches(str(name), names, 1, 0)
        hint = f", did you mean {near[0]!r}?" if near else "."
        raise DataError(f"{field} {name!r} is unknown{hint} Known: {', '.join(names)}")
    return name
