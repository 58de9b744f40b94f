"""One zstd frame: a whole value, with size and checksum in the frame, so that what is cut short or flipped is told. Pure."""

from __future__ import annotations

import zstandard


def pack(plain: bytes) -> bytes:
    """Return one zstd frame."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(plain)


def unpack(packed: bytes) -> bytes:
    """Return what was packed. Raises ValueError for what `pack` did not make, or not all of it."""
    try:
        reader = zstandard.ZstdDecompressor().decompressobj()
        plain = reader.decompress(packed)
    except (zstandard.ZstdError, MemoryError) as error:  # a damaged header may ask for any size
        raise ValueError(f"it cannot be unpacked ({error})") from error
    if not reader.eof:
        raise ValueError("it is cut short")
    if reader.unused_data:
        raise ValueError("something follows its end")
    return plain
