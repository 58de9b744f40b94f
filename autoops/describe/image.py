"""Describe raster images: width, height, resolution, from the header alone; no pixel is decoded."""

from __future__ import annotations

import os

from autoops.describe import shape
from autoops.model import JSON

NAME = "image"
VERSION = 1
TYPES = tuple(f"image/{kind}" for kind in ("png", "jpeg", "gif", "webp", "tiff", "bmp", "jp2", "avif", "heic"))


def extract(data: bytes, truncated: bool) -> JSON:
    """Return the size of an image in pixels as it is stored (before any EXIF rotation), and dots per inch if it says so."""
    import imagesize  # type: ignore[import-untyped]

    as_stored = {"exif_rotation": False} if hasattr(imagesize, "get_info") else {}  # 2.0 turns the sides by default, 1.4 never
    try:
        with os.fdopen(os.memfd_create("image"), "wb") as memory:  # imagesize 1.4 takes a path and nothing else for getDPI
            memory.write(data)
            memory.flush()
            width, height = imagesize.get(f"/proc/self/fd/{memory.fileno()}", **as_stored)
            across, down = imagesize.getDPI(f"/proc/self/fd/{memory.fileno()}")
    except Exception as error:  # noqa: BLE001 - a damaged header raises whatever the parsing of that format meets first
        return shape.fault(error)
    if width < 0 or height < 0:
        return shape.fault("the size is not in the header")
    dpi = {"dpi": [int(across), int(down)]} if across > 0 and down > 0 else {}
    return {"width": int(width), "height": int(height), **dpi}
