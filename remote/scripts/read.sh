# Reads a run. Arguments: handle, where to start in stdout and in stderr (from
# the end if negative), the most bytes of each. Prints one line: state, exit
# code, and of each output start, length and size; then the two outputs.
run=$HOME/.berth/runs/$1
[ -d "$run" ] || { echo gone; exit; }

# The state comes before the sizes, so that the output of an ended run is whole.
state=running code=0
if ! [ -f "$run/exit" ] && ! grep -qsF "BERTH_RUNNER=$1" /proc/[0-9]*/environ; then
	state=lost
fi
if [ -f "$run/exit" ]; then
	state=ended
	read -r code <"$run/exit"
	[ -f "$run/timeout" ] && state=timeout
fi

bounds() {
	size=$(($(wc -c <"$run/$1")))
	start=$2
	[ "$start" -ge 0 ] || start=$((size + start))
	[ "$start" -ge 0 ] || start=0
	[ "$start" -le "$size" ] || start=$size
	length=$((size - start))
	[ "$length" -le "$3" ] || length=$3
}

slice() {
	[ "$3" -eq 0 ] || tail -c "+$(($2 + 1))" "$run/$1" | head -c "$3"
}

bounds stdout "$2" "$4"
out="$start $length" both="$start $length $size"
bounds stderr "$3" "$4"
echo "$state $code $both $start $length $size"
slice stdout $out
slice stderr "$start" "$length"
