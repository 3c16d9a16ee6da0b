#!/bin/sh
cat <<END
{"ungrouped": {"hosts": ["u1"]}, "all": {"hosts": ["top"], "children": ["ungrouped", "a-b"]}, "a-b": {"hosts": ["h:22", "h"], "vars": {}}, "p": {"children": ["a-b"], "vars": {"x": "p"}}, "_meta": {"hostvars": {"u1": {"z": 1}}}}
END
