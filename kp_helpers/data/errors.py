"""The one error of the data layer."""


class DataError(ValueError):
    """Input that cannot be used; the sentence names file or field, what was found and what was expected."""
