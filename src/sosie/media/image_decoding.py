"""Around the libraries that decode pictures: what they raise, and what they print."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from sosie.errors import InputError
from sosie.media.photo import PhotoFile
from sosie.media.stderr import silent_stderr


@contextmanager
def decoding(path: PhotoFile) -> Iterator[None]:
    """Around calls of the libraries that decode pictures, and nothing else.

    Whatever they raise of a broken file becomes one InputError; only `UnidentifiedImageError`, that
    it is none, goes through.
    """
    try:
        yield
    except (InputError, UnidentifiedImageError):
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is over the limit of 100 megapixels; shrink it first.") from error
    except Exception as error:
        raise InputError(
            f"{path} is damaged or cut short and cannot be read; "
            f"open it in a picture editor and save it again."
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """No warning of a decoder's surfaces: what matters of them is an error or a note here."""
    with silent_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
