#!/bin/sh
# health-check.sh [--verbose] [--json] [--state DIR] [--config FILE]: `autoops-health` for cron. Cron mails whatever a job prints,
# so it is silent when all is well; otherwise it prints one line for each problem.
#
#   */15 * * * * autoops /usr/lib/autoops/health-check.sh
#
# Exit code: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. --verbose prints every check, --json one document, in any case.
set -u
self=$(readlink -f -- "$0") || self=$0
here=$(dirname -- "$self")

# in a checkout the one that ./dev made, else what is installed
if [ -x "$here/../.venv/bin/autoops-health" ]; then
    program=$here/../.venv/bin/autoops-health
elif ! program=$(PATH="$PATH:/usr/bin:/usr/local/bin" command -v autoops-health); then
    echo "UNKNOWN health-check: there is no program autoops-health: install the package, or run ./dev in the checkout"
    exit 3
fi

loud=
for argument; do
    case $argument in
    --verbose | -v | --json | --help | -h) loud=yes ;;
    esac
done

said=$("$program" "$@")
code=$?
case $code in
0 | 1 | 2 | 3) ;;
*) # not an answer of the checks: killed, or broken
    echo "UNKNOWN health-check: $program ended with status $code"
    exit 3
    ;;
esac
if [ -n "$loud" ]; then
    printf '%s\n' "$said"
elif [ "$code" -ne 0 ]; then
    case $said in
    "AUTOOPS "*) printf '%s\n' "$said" | sed 1d ;; # its first line is for monitoring systems
    *) echo "UNKNOWN health-check: autoops-health did not answer" && exit 3 ;;
    esac
fi
exit "$code"
