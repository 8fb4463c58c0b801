"""One variable of a MATLAB file."""

import zlib
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from kp_helpers.data.errors import DataError


def read_mat(path: Path, name: str):
    """The variable as an array, structs as objects with attributes; DataError if it cannot be read."""
    try:
        return loadmat(path, struct_as_record=False, squeeze_me=True, variable_names=[name])[name]
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except KeyError:
        raise DataError(f"{path}: has no variable {name}") from None
    except (OSError, ValueError, TypeError, NotImplementedError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: is no MATLAB file of version 5 ({str(error)[:120]})") from None


def points_of(path: Path, name: str, count: int) -> np.ndarray:
    """The variable as `count` points, (count, 2) of float."""
    value = read_mat(path, name)
    if np.shape(value) != (count, 2) or np.asarray(value).dtype.kind not in "fiu":
        raise DataError(f"{path}: {name} has shape {np.shape(value)}, expected ({count}, 2)")
    return np.asarray(value, float)
