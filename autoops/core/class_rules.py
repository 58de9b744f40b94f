"""The classification rules that hold when the configuration says nothing else, tried in this order after the operator's.

Guarantee: data only; the last rule holds for every file, so everything has a class. A class is about what a file is for;
its confidence says how far the evidence (a signature, an extension, a folder's name) carries. Reads and writes nothing.
"""

from __future__ import annotations

from autoops.model import ClassRule

_TESTS = (
    *("test_*.*", "*_test.*", "*.test.[jt]s*", "*.spec.[jt]s*", "*Test.java", "conftest.py", "*.bats"),
    *("tests/**", "**/tests/**", "test/**", "**/test/**", "**/__tests__/**", "spec/**"),
)
_CODE = ("text/x-*", "text/javascript", "application/sql")
_DOCUMENTS = (
    *("application/pdf", "application/postscript", "application/rtf", "application/epub+zip", "image/vnd.djvu"),
    *("application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint", "application/vnd.ms-outlook"),
    *("application/vnd.openxmlformats-officedocument.*", "application/vnd.oasis.opendocument.*", "message/rfc822"),
)
_DATA = (
    *("application/json", "application/json5", "application/jsonl", "application/xml", "text/csv", "text/tab-separated-values"),
    *("application/vnd.sqlite3", "application/vnd.apache.parquet", "application/x-avro", "application/x-hdf5"),
    *("application/x-npy", "application/vnd.tcpdump.pcap", "text/calendar", "text/vcard", "application/mbox"),
)
_ARCHIVES = (
    *("application/zip", "application/gzip", "application/zstd", "application/x-xz", "application/x-bzip2"),
    *("application/x-lz*", "application/x-tar", "application/x-7z-compressed", "application/vnd.rar", "application/x-cpio"),
    *("application/vnd.ms-cab-compressed", "application/x-archive", "application/x-git-pack"),
    *("application/vnd.debian.binary-package", "application/x-rpm", "application/java-archive"),
    "application/vnd.android.package-archive",
)
_PROGRAMS = (
    *("application/x-executable", "application/x-sharedlib", "application/x-object", "application/x-mach-binary"),
    *(
        "application/vnd.microsoft.portable-executable",
        "application/wasm",
        "application/x-java-applet",
        "application/x-coredump",
    ),
)
_CONFIG_NAMES = (
    *("package.json", "package-lock.json", "tsconfig*.json", "composer.json", "*.config.json", ".*rc", ".*rc.json"),
    *("settings.json", ".editorconfig", ".env", ".env.*", ".gitignore", ".gitattributes", ".dockerignore"),
)

BUILTIN: tuple[ClassRule, ...] = (
    ClassRule("builtin:link", "link", type=("inode/symlink",), confidence=100),
    ClassRule("builtin:empty", "empty", type=("inode/x-empty",), confidence=100),
    ClassRule("builtin:special", "special", type=("inode/*",), confidence=100),
    ClassRule(
        "builtin:private-key",
        "key",
        type=("text/plain", "application/x-pem-file"),
        content=r"\A\s*-----BEGIN [A-Z ]{0,40}PRIVATE KEY",
        confidence=95,
        tags=("sensitive",),
    ),
    ClassRule("builtin:key", "key", type=("application/x-pem-file",), confidence=75),
    ClassRule("builtin:test", "test", glob=_TESTS, type=_CODE, confidence=80, tags=("code",)),
    ClassRule("builtin:script-type", "script", type=("text/x-shellscript", "text/x-powershell", "text/x-batch"), tags=("code",)),
    ClassRule("builtin:script", "script", type=("text/*",), shebang=("*",), confidence=90, tags=("code",)),
    ClassRule("builtin:config-name", "config", glob=_CONFIG_NAMES, type=("text/*", "application/json"), confidence=85),
    ClassRule("builtin:config", "config", type=("text/x-ini", "application/toml", "application/yaml"), confidence=70),
    ClassRule("builtin:build", "config", type=("text/x-makefile", "text/x-cmake", "text/x-dockerfile"), tags=("build",)),
    ClassRule("builtin:log", "log", glob=("*.log", "*.log.[0-9]"), type=("text/plain",), confidence=75),
    ClassRule("builtin:prose", "document", type=("text/markdown", "text/x-rst", "text/x-tex", "text/x-asciidoc", "text/x-org")),
    ClassRule("builtin:document", "document", type=_DOCUMENTS, confidence=90),
    ClassRule("builtin:notebook", "source", type=("application/x-ipynb+json",), tags=("code", "notebook")),
    ClassRule("builtin:web", "web", type=("text/html", "text/css", "text/x-scss"), confidence=85),
    ClassRule("builtin:data", "data", type=(*_DATA, "text/x-po", "text/x-diff", "text/x-bibtex"), confidence=75),
    ClassRule("builtin:source", "source", type=_CODE, confidence=85, tags=("code",)),
    ClassRule("builtin:image", "image", type=("image/*",), confidence=95),
    ClassRule("builtin:audio", "audio", type=("audio/*", "application/ogg"), confidence=95),
    ClassRule("builtin:video", "video", type=("video/*",), confidence=95),
    ClassRule("builtin:font", "font", type=("font/*",), confidence=95),
    ClassRule("builtin:archive", "archive", type=_ARCHIVES, confidence=95),
    ClassRule("builtin:program", "program", type=_PROGRAMS, confidence=95),
    ClassRule("builtin:text", "document", type=("text/*",), confidence=50),
    ClassRule("builtin:binary", "binary", type=("application/octet-stream",), confidence=50),
    ClassRule("builtin:other", "other", confidence=30),
)
