"""The page of an html catalog: a search over data in files beside it, with nothing from elsewhere. Pure.

It works when opened as a file: the data are scripts, for a page from file:// may not read files. Names become text nodes, never
HTML.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

_TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>@NAME@</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 1.5em; }
input { font: inherit; width: 100%; max-width: 40em; padding: .4em; box-sizing: border-box; }
table { border-collapse: collapse; margin-top: 1em; }
th, td { text-align: left; padding: .2em .8em .2em 0; vertical-align: top; border-bottom: 1px solid #ccc; }
td.size { text-align: right; white-space: nowrap; }
td.path { overflow-wrap: anywhere; }
td.id, td.when { white-space: nowrap; font-variant-numeric: tabular-nums; }
</style>
</head>
<body>
<h1>@NAME@</h1>
<label>Search in paths, roots, classes, IDs and checksums; every word must be found:<br>
<input id="query" type="search" autofocus autocomplete="off"></label>
<p id="told" role="status">@COUNT@ entries</p>
<noscript><p>The search needs JavaScript; the same data are in the files data*.js beside this page.</p></noscript>
<table><thead><tr><th>ID</th><th>Root</th><th>Path</th><th>Class</th><th>Status</th><th>Bytes</th><th>Modified</th></tr></thead>
<tbody id="rows"></tbody></table>
<script>var entries = [];</script>
@SCRIPTS@
<script>
"use strict";
var SHOWN = 200, SLICE = 20000, run = 0;
var query = document.getElementById("query"), rows = document.getElementById("rows"), told = document.getElementById("told");
var classes = ["id", "root", "path", "class", "status", "size", "when"];
function add(entry) {
  var row = document.createElement("tr");
  for (var i = 0; i < classes.length; i++) {
    var cell = document.createElement("td");
    cell.className = classes[i];
    cell.textContent = entry[i];
    if (i === 2) cell.title = entry[7];
    row.appendChild(cell);
  }
  rows.appendChild(row);
}
function search() {
  var mine = ++run, words = query.value.toLowerCase().split(/\\s+/).filter(Boolean), found = 0, at = 0;
  rows.textContent = "";
  function step() {
    if (mine !== run) return;
    for (var end = Math.min(at + SLICE, entries.length); at < end; at++) {
      var entry = entries[at], text = (entry[2] + " " + entry[1] + " " + entry[3] + " " + entry[0] + " " + entry[7]).toLowerCase();
      if (words.every(function (word) { return text.indexOf(word) >= 0; })) {
        if (found++ < SHOWN) add(entry);
      }
    }
    told.textContent = found + " of " + entries.length + " entries" + (found > SHOWN ? ", the first " + SHOWN + " shown" : "");
    if (at < entries.length) setTimeout(step, 0);
  }
  step();
}
var waiting = 0;
query.addEventListener("input", function () { clearTimeout(waiting); waiting = setTimeout(search, 120); });
search();
</script>
</body>
</html>
"""


def text(name: str, scripts: Sequence[str], entries: int) -> str:
    """Return the page of a catalog of this name; `scripts` are the names of the files with its data."""
    loads = "\n".join(f'<script src="{html.escape(script)}"></script>' for script in scripts)
    filled = _TEMPLATE.replace("@NAME@", html.escape(name)).replace("@COUNT@", f"{entries:,}")
    return filled.replace("@SCRIPTS@", loads)
