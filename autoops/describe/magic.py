"""The signatures by which content names its own type, whatever the file is called.

Guarantee: pure functions and data over the first bytes of a file (4096 are enough for all of them). Reads and writes nothing.
Sources: the formats' own specifications (PNG, RFC 1952 gzip, APPNOTE.TXT for ZIP, ODF 1.2 part 3, ISO/IEC 14496-12 for
`ftyp`, POSIX ustar); what a type is called: the IANA registry, else file(1).
"""

from __future__ import annotations

from collections.abc import Callable

ZIP_TYPES: dict[bytes, str] = {
    b"docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    b"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    b"pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
_OFFICE_PARTS = ((b"word/", b"docx"), (b"xl/", b"xlsx"), (b"ppt/", b"pptx"))
_OLE_TYPES: dict[bytes, str] = {
    b"doc": "application/msword",
    b"xls": "application/vnd.ms-excel",
    b"ppt": "application/vnd.ms-powerpoint",
    b"msg": "application/vnd.ms-outlook",
    b"msi": "application/x-msi",
}
_RIFF_TYPES = {b"WEBP": "image/webp", b"WAVE": "audio/x-wav", b"AVI ": "video/x-msvideo"}
_BRANDS: dict[bytes, str] = {
    b"avif": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"M4A ": "audio/mp4",
    b"qt  ": "video/quicktime",
    b"crx ": "image/x-canon-cr3",
}


def _extension(name: bytes) -> bytes:
    return name.rpartition(b".")[2].lower()


def _zip(head: bytes, name: bytes) -> str:
    """Return the type of a ZIP by its first members: APPNOTE.TXT 4.3.7, local file header, the name is at offset 30."""
    first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if first == b"mimetype":  # ODF and EPUB: stored, not compressed, and first
        declared = head[38 : 38 + min(int.from_bytes(head[18:22], "little"), 100)]
        if declared.isascii() and b"/" in declared and not declared.translate(None, _MIME_BYTES):
            return declared.decode()
    if first.startswith((b"[Content_Types].xml", b"_rels/", b"docProps/", b"word/", b"xl/", b"ppt/")):
        for folder, extension in _OFFICE_PARTS:
            if folder in head:
                return ZIP_TYPES[extension]
        return ZIP_TYPES.get(_extension(name), "application/zip")
    if first == b"AndroidManifest.xml":
        return "application/vnd.android.package-archive"
    if first.startswith(b"META-INF/"):
        return "application/java-archive"
    return "application/zip"


_MIME_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&-^_.+/"


def _riff(head: bytes, name: bytes) -> str | None:
    return _RIFF_TYPES.get(head[8:12])


def _ole(head: bytes, name: bytes) -> str:
    return _OLE_TYPES.get(_extension(name), "application/x-ole-storage")


def _ar(head: bytes, name: bytes) -> str:
    return "application/vnd.debian.binary-package" if head[8:21] == b"debian-binary" else "application/x-archive"


def _elf(head: bytes, name: bytes) -> str:
    """Return the type by e_type, at offset 16 in the byte order that offset 5 says (elf(5))."""
    kind = int.from_bytes(head[16:18], "big" if head[5:6] == b"\x02" else "little")
    return {1: "application/x-object", 3: "application/x-sharedlib", 4: "application/x-coredump"}.get(
        kind, "application/x-executable"
    )


def _matroska(head: bytes, name: bytes) -> str:
    return "video/webm" if b"webm" in head[:64] else "video/x-matroska"


def _class_file(head: bytes, name: bytes) -> str:
    return "application/x-java-applet" if int.from_bytes(head[6:8], "big") >= 45 else "application/x-mach-binary"


def _needs(mime: str, at: int, wanted: bytes) -> Callable[[bytes, bytes], str | None]:
    """Return a rule for a signature so short that prose may begin with it: more of the header must agree."""
    return lambda head, name: mime if head[at : at + len(wanted)] == wanted else None


def _needs_nul(mime: str) -> Callable[[bytes, bytes], str | None]:
    return lambda head, name: mime if b"\0" in head else None


Rule = str | Callable[[bytes, bytes], str | None]

_SIGNATURES: tuple[tuple[bytes, Rule], ...] = (
    (b"%PDF-", "application/pdf"),
    (b"%!PS", "application/postscript"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"RIFF", _riff),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"BM", _needs("image/bmp", 6, b"\0\0\0\0")),
    (b"\0\0\1\0", "image/vnd.microsoft.icon"),
    (b"8BPS\0", "image/vnd.adobe.photoshop"),
    (b"gimp xcf ", "image/x-xcf"),
    (b"\0\0\0\x0cjP  ", "image/jp2"),
    (b"\0\0\0\x0cJXL ", "image/jxl"),
    (b"AT&TFORM", "image/vnd.djvu"),
    (b"PK\x03\x04", _zip),
    (b"PK\x05\x06", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"BZh", _needs("application/x-bzip2", 4, b"1AY&SY")),
    (b"\x04\x22\x4d\x18", "application/x-lz4"),
    (b"LZIP\x01", "application/x-lzip"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"MSCF\0", "application/vnd.ms-cab-compressed"),
    (b"!<arch>\n", _ar),
    (b"\xed\xab\xee\xdb", "application/x-rpm"),
    (b"070701", _needs_nul("application/x-cpio")),
    (b"\x7fELF", _elf),
    (b"MZ", _needs_nul("application/vnd.microsoft.portable-executable")),
    (b"\xca\xfe\xba\xbe", _class_file),
    (b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\0asm", "application/wasm"),
    (b"SQLite format 3\0", "application/vnd.sqlite3"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _ole),
    (b"{\\rtf", "application/rtf"),
    (b"bplist00", "application/x-plist"),
    (b"PAR1", _needs_nul("application/vnd.apache.parquet")),
    (b"Obj\x01", "application/x-avro"),
    (b"\x89HDF\r\n\x1a\n", "application/x-hdf5"),
    (b"\x93NUMPY", "application/x-npy"),
    (b"OggS\0", "application/ogg"),
    (b"ID3", _needs_nul("audio/mpeg")),
    (b"\xff\xfb", "audio/mpeg"),
    (b"fLaC\0", "audio/flac"),
    (b"MThd\0", "audio/midi"),
    (b"\x1aE\xdf\xa3", _matroska),
    (b"FLV\x01", "video/x-flv"),
    (b"\0\0\1\xba", "video/mpeg"),
    (b"wOFF", _needs_nul("font/woff")),
    (b"wOF2", _needs_nul("font/woff2")),
    (b"OTTO\0", "font/otf"),
    (b"\0\1\0\0\0", "font/ttf"),
    (b"\xd4\xc3\xb2\xa1", "application/vnd.tcpdump.pcap"),
    (b"PACK\0\0\0", "application/x-git-pack"),
)


def _by_first_byte() -> dict[int, tuple[tuple[bytes, Rule], ...]]:
    table: dict[int, list[tuple[bytes, Rule]]] = {}
    for prefix, rule in _SIGNATURES:
        table.setdefault(prefix[0], []).append((prefix, rule))
    return {first: tuple(rules) for first, rules in table.items()}


BY_FIRST_BYTE = _by_first_byte()


def inner(head: bytes) -> str | None:
    """Return the type of binary content whose signature is not at its beginning: tar, ISO media; None when unknown."""
    if head[257:262] == b"ustar":
        return "application/x-tar"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    return None
