# Shared by doubles of programs of container engines. Images are lines of $base/images/ENGINE: reference, tab, id,
# tab, digest. What a registry has are lines of $base/images/registry. An archive is a list of references.
images=$base/images
expected=user:secret1
put() { # put ENGINE REFERENCE: the engine has the image
    grep -q "^$2	" "$images/$1" 2>/dev/null || printf '%s\t%s\t%s\n' "$2" "id-$2" "sha256:$(printf %s "$2" | sha256sum | cut -c-64)" >>"$images/$1"
}
pull() { # pull ENGINE REFERENCE CREDENTIALS
    case $2 in private/*) [ "$3" = "$expected" ] || { echo "unauthorized: authentication required" >&2; exit 1; } ;; esac
    grep -qx "$2" "$images/registry" || { echo "failed to resolve reference \"$2\": $2: not found" >&2; exit 1; }
    put "$1" "$2"
}
import() { # import ENGINE PATH
    [ -f "$root$2" ] || refuse "no archive $2"
    while read -r reference; do put "$1" "$reference"; done <"$root$2"
}
from_file() { # from_file PATH REGISTRY: the credentials of a file
    [ "$(stat -c %a "$root$1")" = 600 ] || refuse "mode of $1"
    sed -n "s|.*\"$2\":{\"auth\":\"\([^\"]*\)\".*|\1|p" "$root$1" | base64 -d
}
table() { # table ENGINE: as docker lists, with its short names
    [ -f "$images/$1" ] || return 0
    while IFS='	' read -r reference id digest; do
        printf '%s\t%s\t%s\t%s\n' "${reference%:*}" "${reference##*:}" "$digest" "$id"
    done <"$images/$1"
}
