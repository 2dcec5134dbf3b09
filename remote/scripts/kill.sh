# Ends a process and its group. Argument: pid of the group's leader.
kill -s KILL -- "-$1" 2>/dev/null || kill -s KILL "$1" 2>/dev/null
