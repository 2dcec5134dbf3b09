# Ends a run: TERM, and KILL for what is left. Arguments: handle, grace in
# seconds. A process belongs to the run if it has its mark in the environment
# it was started with, which no later process with the same pid has; what
# cleared its environment is found by the run's process group.
run=$HOME/.berth/runs/$1
[ -d "$run" ] || { echo gone; exit; }
mark=BERTH_RUN=$1
read -r leader <"$run/pid"

members() { grep -lsF "$mark" /proc/[0-9]*/environ; }

send() {
	if grep -qsF "$mark" "/proc/$leader/environ"; then
		kill -s "$1" -- "-$leader"
	fi
	for member in $(members); do
		member=${member#/proc/}
		kill -s "$1" "${member%/environ}"
	done
} 2>/dev/null

# settled waits up to $1 tenths of a second until nobody is left.
settled() {
	tenths=$1
	while [ -n "$(members)" ]; do
		[ "$tenths" -gt 0 ] || return
		sleep 0.1 || sleep 1
		tenths=$((tenths - 1))
	done
} 2>/dev/null

send TERM
if ! settled $(($2 * 10)); then
	# Again and again, for a process may fork between the look and the signal.
	for round in 1 2 3 4 5 6 7 8 9 10; do
		send KILL
		settled 5 && break
	done
	settled 0 || { echo 'some processes can not be ended' >&2; exit 1; }
fi

# The runner has the exit code now, and writes it in a moment.
tenths=20
while ! [ -f "$run/exit" ] && [ "$tenths" -gt 0 ] &&
	grep -qsF "BERTH_RUNNER=$1" /proc/[0-9]*/environ; do
	sleep 0.1 2>/dev/null || sleep 1
	tenths=$((tenths - 1))
done
echo stopped
