#!/bin/sh
[ "$1" = --list ] || exit 3
cat <<END
{"web": {"hosts": ["w1", "w2"], "vars": {"port": 80, "t": "{{ port | int + 1 }}", "b": true, "n": null, "f": 1.30}, "children": ["sub"]},
 "sub": {"hosts": ["s1"]}, "short": ["w2", "x1"], "empty": [], "novars": {}, "all": {"vars": {"av": [1, {"k": "v"}]}},
 "_meta": {"hostvars": {"w1": {"ip": "10.0.0.1", "list": [1, "two"]}, "x1": {"한": "글"}, "ghost": {"g": 1}}}}
END
