# The runner: starts the command in a session of its own, waits for it, and
# writes down how it ended. Arguments: those of start.sh.
handle=$1 timeout=$2 stop=$5 exec=$6
shift 6
run=$HOME/.berth/runs/$handle
unset BERTH_RUNNER

BERTH_RUN=$handle setsid /bin/sh -c "$exec" berth "$@" \
	<"$run/stdin" >"$run/stdout" 2>"$run/stderr" &
pid=$!
echo "$pid" >"$run/pid"
echo "$pid"
exec >/dev/null 2>&1

watch=
if [ "$timeout" -gt 0 ]; then
	setsid /bin/sh -c 'sleep "$1"; [ -f "$2/exit" ] && exit
		: >"$2/timeout"; exec /bin/sh -c "$3" berth "$4" 5' \
		berth "$timeout" "$run" "$stop" "$handle" </dev/null &
	watch=$!
fi
wait "$pid"
code=$?
if [ -n "$watch" ] && ! [ -f "$run/timeout" ]; then
	kill -s KILL -- "-$watch" || kill -s KILL "$watch"
fi
rm -f "$run/stdin"
echo "$code" >"$run/exit.new" && mv "$run/exit.new" "$run/exit"
