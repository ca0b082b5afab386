"""Reading pickles that a plan trusts, without handing them the keys: what a pickle may call is still listed.

A pickle is a program that names classes and functions and calls them. Even with `trust`, a pickle that names a
function other than the reconstructors below, or a class of the standard library that acts on the system, is refused
before that name is imported.
"""

import bz2
import gzip
import inspect
import io
import lzma
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from fairwitness.audit.errors import UserError, foreign_code

# Classes of the standard library that hold data and do nothing.
HARMLESS = {
    "builtins": {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object",
                 "range", "set", "slice", "str", "tuple"},
    "collections": {"Counter", "OrderedDict", "defaultdict", "deque"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "uuid": {"UUID"},
}  # fmt: skip

# What fitted models hold of packages whose other classes open files.
FEW = {
    "joblib": {"NumpyArrayWrapper"},
    "pandas": {
        "BlockManager",
        "Categorical",
        "CategoricalDtype",
        "DataFrame",
        "Index",
        "RangeIndex",
        "Series",
        "SingleBlockManager",
        "StringDtype",
        "Timedelta",
        "Timestamp",
    },
    "pyarrow": set(),
    "numpy": {"dtype", "ndarray", "ufunc", "matrix", "Generator", "RandomState", "MT19937", "PCG64", "SeedSequence"},
}
FORBIDDEN = {np.memmap}
SAFE_JOBLIB = (1, 6)  # arrays of objects are read through the list below; older ones read them past it

# Functions that libraries name in the pickles of fitted models.
RECONSTRUCTORS = {
    "_codecs": {"encode"},  # bytes, in protocols 0 to 2
    "copyreg": {"_reconstructor", "__newobj__"},
    "numpy": {
        "_reconstruct",
        "scalar",
        "_frombuffer",
        "__bit_generator_ctor",
        "__generator_ctor",
        "__randomstate_ctor",
    },
    "pandas": {"_unpickle_block", "new_Index", "_new_Index", "_new_DatetimeIndex"},
    "scipy": {"__pyx_unpickle_Enum"},
    "sklearn": {"newObj"},
}


def load_pickle(file: Path, *, trusted: tuple[str, ...], where: str) -> Any:
    """Read a pickle or joblib file.

    Args:
        file: the file; gzip, zlib, bzip2 or xz compression is seen from its first bytes.
        trusted: qualified names that are allowed besides the known ones.
        where: file and key, the beginning of messages.

    Raises:
        UserError: it is damaged, or names something that is not allowed.
    """
    import joblib
    from joblib.numpy_pickle import NumpyUnpickler

    if tuple(int(part) for part in joblib.__version__.split(".")[:2]) < SAFE_JOBLIB:
        raise UserError(f"{where}: reading a pickle needs joblib 1.6 or newer; there is {joblib.__version__}")

    class Listed(NumpyUnpickler):  # type: ignore[misc]  # joblib is not typed
        def find_class(self, module: str, name: str) -> Any:
            refusal = UserError(
                f"names {module}.{name}, which a model has no need of; not loaded (if it is yours: "
                f'trust = ["{module}.{name}"])'
            )
            root = module.partition(".")[0]
            if f"{module}.{name}" in trusted:
                return super().find_class(module, name)
            if root in RECONSTRUCTORS and (name in RECONSTRUCTORS[root] or name.startswith("__pyx_unpickle_")):
                return super().find_class(module, name)
            if root in sys.stdlib_module_names:
                if name in HARMLESS.get(module, ()):
                    return super().find_class(module, name)
                raise refusal
            if "." in name:  # an attribute path could lead out of the module
                raise refusal
            found = super().find_class(module, name)
            if not (inspect.isclass(found) or isinstance(found, np.ufunc)):
                raise refusal
            if found in FORBIDDEN or (root in FEW and name not in FEW[root]):
                raise refusal  # a class that reads or writes files when it is called
            if found.__module__.partition(".")[0] in sys.stdlib_module_names:
                raise refusal  # a library's own import of, say, subprocess.Popen
            return found

    with foreign_code(f"{where}: cannot read {file.name}"):
        content = io.BytesIO(_decompressed(file.read_bytes()))
        return Listed("", content, ensure_native_byte_order=True).load()


def _decompressed(content: bytes) -> bytes:
    if content.startswith(b"\x1f\x8b"):
        return gzip.decompress(content)
    if content.startswith(b"BZh"):
        return bz2.decompress(content)
    if content.startswith((b"\xfd7zXZ", b"\x5d\x00")):
        return lzma.decompress(content)
    if content.startswith((b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")):
        return zlib.decompress(content)
    return content
