#!/bin/sh
# Installs what autoops is measured against, from the package sources this machine is set up with.
#
#   bench/install-peers.sh [VENV]     default: .venv-peers in the project, where bench/run.py looks for it
#
# Needs root for the Debian packages; without it says which command to run, and installs the Python peers only.
# No service is wanted: the benchmarks start a PostgreSQL of their own.
set -eu

project=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
venv=${1:-$project/.venv-peers}
packages='aide hashdeep rsync git watchman inotify-tools restic postgresql python3-venv'

if [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of names
    apt-get install -y -q --no-install-recommends $packages
else
    echo "Debian packages need root, run: apt-get install $packages" >&2
fi

# Apart from the project's own environment: nothing in here is a dependency of autoops.
python3 -m venv "$venv"
"$venv/bin/pip" install -q huey litequeue persist-queue procrastinate 'psycopg[binary]' watchfiles
echo "peers installed; now run: ./dev bench"
