# Runs one command. Arguments: token, directory, line, NAME=value ...
# With a token, the first line of output tells the pid; exec keeps it, so that
# the exit code or signal is the command's own.
if [ -n "$1" ]; then printf '%s %s\n' "$1" "$$"; fi
if [ -n "$2" ]; then cd -- "$2" || exit; fi
line=$3
shift 3
exec env "$@" "${SHELL:-/bin/sh}" -c "$line"
