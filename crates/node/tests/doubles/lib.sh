# Shared by all doubles. A double knows every argument that the real program is given by us; any other is
# written down as a violation, which fails the test.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
base=${0%/*}/..
root=$base/root
name=$(basename "$0")
printf '%s %s\n' "$name" "$*" >>"$base/calls"
refuse() {
    printf '%s: %s\n' "$name" "$*" >>"$base/violations"
    echo "double of $name refuses: $*" >&2
    exit 99
}
# Tests make a program fail by a file with what it says and its status.
if [ -f "$base/fail/$name" ]; then
    sed 1d "$base/fail/$name" >&2
    exit "$(head -n 1 "$base/fail/$name")"
fi
only() { # only COUNT ARGUMENTS...: exactly so many arguments
    count=$1
    shift
    [ $# -eq "$count" ] || refuse "$# arguments in place of $count: $*"
}
