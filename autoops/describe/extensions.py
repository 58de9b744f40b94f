"""What text is called by its file name: one fixed table, so that the same file has the same type on every host.

The standard library's `mimetypes` reads /etc/mime.types, so its answer depends on the packages of the host. Names follow
the IANA registry where it has one (application/yaml RFC 9512, application/sql RFC 6922, application/toml), else the custom
of file(1) and freedesktop.org (text/x-LANGUAGE).

Guarantee: data only; asked only about content that is text already. Reads and writes nothing.
"""

from __future__ import annotations

_BY_TYPE: dict[str, str] = {
    "text/x-python": "py pyi pyw wsgi",
    "text/markdown": "md markdown mdown mkd mdx",
    "application/json": "json webmanifest geojson har avsc jsonld",
    "application/jsonl": "jsonl ndjson",
    "application/x-ipynb+json": "ipynb",
    "application/json5": "json5 jsonc",
    "application/yaml": "yaml yml",
    "application/toml": "toml",
    "application/sql": "sql ddl psql",
    "text/x-shellscript": "sh bash zsh ksh dash bats",
    "text/html": "html htm xhtml",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv tab",
    "text/plain": "txt text log asc gitignore gitattributes dockerignore",
    "text/javascript": "js mjs cjs jsx",
    "text/x-typescript": "ts tsx mts cts",
    "text/css": "css",
    "text/x-scss": "scss sass less",
    "text/x-rust": "rs",
    "text/x-go": "go",
    "text/x-c": "c h",
    "text/x-c++": "cc cpp cxx hh hpp hxx ino",
    "text/x-csharp": "cs",
    "text/x-java": "java",
    "text/x-kotlin": "kt kts",
    "text/x-scala": "scala sbt",
    "text/x-groovy": "groovy gradle",
    "text/x-swift": "swift",
    "text/x-objective-c": "m mm",
    "text/x-ruby": "rb rake gemspec",
    "text/x-perl": "pl pm",
    "text/x-php": "php phtml",
    "text/x-lua": "lua",
    "text/x-r": "r rmd",
    "text/x-julia": "jl",
    "text/x-haskell": "hs",
    "text/x-erlang": "erl hrl",
    "text/x-elixir": "ex exs",
    "text/x-ocaml": "ml mli",
    "text/x-clojure": "clj cljs edn",
    "text/x-lisp": "el lisp scm",
    "text/x-tcl": "tcl",
    "text/x-awk": "awk",
    "text/x-fortran": "f f90 f95",
    "text/x-pascal": "pas",
    "text/x-vhdl": "vhd vhdl",
    "text/x-verilog": "v sv",
    "text/x-asm": "s asm",
    "text/x-protobuf": "proto",
    "text/x-graphql": "graphql gql",
    "text/x-terraform": "tf tfvars hcl",
    "text/x-nix": "nix",
    "text/x-cmake": "cmake",
    "text/x-makefile": "mk mak",
    "text/x-powershell": "ps1 psm1",
    "text/x-batch": "bat cmd",
    "text/x-diff": "diff patch",
    "text/x-rst": "rst",
    "text/x-asciidoc": "adoc asciidoc",
    "text/x-org": "org",
    "text/x-tex": "tex sty cls ltx",
    "text/x-bibtex": "bib",
    "text/x-po": "po pot",
    "text/x-ini": "ini cfg conf cnf properties env service socket timer target mount path desktop repo",
    "text/calendar": "ics",
    "text/vcard": "vcf",
    "text/vtt": "vtt",
    "application/x-subrip": "srt",
    "message/rfc822": "eml",
    "application/mbox": "mbox",
    "application/xml": "xml xsd xsl xslt wsdl rss atom plist pom kml gpx",
    "image/svg+xml": "svg",
    "application/x-pem-file": "pem crt csr key pub",
}

EXTENSIONS: dict[bytes, str] = {
    extension.encode(): mime for mime, extensions in _BY_TYPE.items() for extension in extensions.split()
}

# Names that are a type by themselves, compared in lower case.
NAMES: dict[bytes, str] = {
    b"makefile": "text/x-makefile",
    b"gnumakefile": "text/x-makefile",
    b"cmakelists.txt": "text/x-cmake",
    b"dockerfile": "text/x-dockerfile",
    b"containerfile": "text/x-dockerfile",
    b"gemfile": "text/x-ruby",
    b"rakefile": "text/x-ruby",
    b"vagrantfile": "text/x-ruby",
    b"jenkinsfile": "text/x-groovy",
    b"pipfile": "application/toml",
    b"readme": "text/plain",
    b"license": "text/plain",
    b"copying": "text/plain",
    b"changelog": "text/plain",
}
