# Starts a run that outlives its session, and prints its pid. Arguments:
# handle, timeout in seconds or 0, how many runs to keep, the scripts run.sh,
# stop.sh and exec.sh, then what exec.sh takes. Input: the command's stdin.
umask 077
runs=$HOME/.berth/runs
run=$runs/$1
keep=$3
command -v setsid >/dev/null || { echo 'setsid is missing' >&2; exit 1; }
mkdir -p "$runs" && mkdir "$run" && cat >"$run/stdin" || exit

# The oldest runs go, unless their runner is still there.
ls -1t "$runs" | tail -n "+$((keep + 1))" | while read -r old; do
	case $old in '' | *[!0-9a-f]*) continue ;; esac
	grep -qsF "BERTH_RUNNER=$old" /proc/[0-9]*/environ || rm -rf "${runs:?}/$old"
done

# The substitution ends when the runner closes its output, having told the pid.
pid=$(BERTH_RUNNER=$1 setsid /bin/sh -c "$4" berth-run "$@" 2>"$run/error" &)
if [ -z "$pid" ]; then
	cat "$run/error" >&2
	exit 1
fi
echo "$pid"
