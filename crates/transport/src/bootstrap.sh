# Runs as root on the host, for any POSIX shell: $1 nonce, $2 "architecture:digest ...", $3 candidate folders.
# It becomes one line between single quotes: no single quote, backslash or exclamation mark may be in it, and
# each line must end so that the next may follow after a blank.
umask 077;
LC_ALL=C; export LC_ALL;
PATH="$PATH:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"; export PATH;
nonce=$1; helpers=$2; folders=$3;
has() { command -v "$1" >/dev/null 2>&1; };
arch=$(uname -m); systemd=no; if [ -d /run/systemd/system ]; then systemd=yes; fi;
packed=raw; if has gzip; then packed=gzip; fi;
digest=none;
for pair in $helpers; do case "$pair" in "$arch":*) digest=${pair#*:};; esac; done;
hash() {
if has sha256sum; then set -- $(sha256sum < "$1");
elif has openssl; then set -- $(openssl dgst -sha256 -r < "$1");
elif has shasum; then set -- $(shasum -a 256 < "$1");
else set -- $(cksum -a sha256 --untagged < "$1" 2>/dev/null);
fi;
echo "${1:-unknown}"; };
usable() {
fresh=no;
if [ -h "$1" ]; then why=link; return 1; fi;
if [ -d "$1" ]; then :; else
if mkdir -p -m 0700 "$1" 2>/dev/null; then fresh=yes; else why=mkdir; return 1; fi; fi;
rights=$(ls -ldn "$1/." | { read -r mode links owner rest; echo "$mode $owner"; });
case "$rights" in d????-??-*" 0") :;; *) why=owner; return 1;; esac;
probe="$1/.probe-$nonce";
if echo "exit 7" | cat > "$probe" && chmod 0700 "$probe"; then :; else rm -f "$probe"; why=write; return 1; fi;
"$probe" 2>/dev/null; status=$?; rm -f "$probe";
if [ "$status" = 7 ]; then return 0; fi;
why=noexec; return 1; };
folder=none; tried="";
for candidate in $folders; do
if usable "$candidate"; then folder=$candidate; break; fi;
tried="$tried$candidate:$why ";
done;
have=no; free=unknown; program="$folder/$digest";
if [ "$folder" = none ]; then :; else
free=$(df -Pk "$folder" 2>/dev/null | { free=unknown; while read -r a b c d rest; do free=$d; done; echo "$free"; });
if [ -f "$program" ] && [ -x "$program" ] && [ "$(hash "$program")" = "$digest" ]; then have=yes; fi;
fi;
echo "$nonce-ready arch=$arch login=${SUDO_USER:-root} systemd=$systemd packed=$packed have=$have free=$free folder=$folder tried=$tried";
read -r verb size packed || exit 0;
failed() { rm -f "$beside"; echo "$nonce-failed $1"; exit 1; };
if [ "$verb" = upload ]; then
beside="$folder/.upload-$nonce";
echo "$nonce-send";
if [ "$packed" = gzip ]; then head -c "$size" | gzip -dc > "$beside" || failed write;
else head -c "$size" > "$beside" && [ "$(wc -c < "$beside")" -eq "$size" ] || failed write; fi;
got=$(hash "$beside");
case "$got" in "$digest"|unknown) :;; *) failed digest;; esac;
chmod 0700 "$beside" && mv -f "$beside" "$program" || failed write;
for old in "$folder"/*; do
name=${old##*/};
if [ ${#name} = 64 ] && [ -f "$old" ] && [ "$name" = "$digest" ]; then :;
elif [ ${#name} = 64 ] && [ -f "$old" ]; then rm -f "$old"; fi;
done;
elif [ "$verb" = start ]; then :;
else exit 0; fi;
case "$folder" in
*"$nonce") "$program" node --stdio; status=$?; rm -rf "$folder"; exit $status;;
esac;
exec "$program" node --stdio
