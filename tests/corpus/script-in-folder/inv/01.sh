#!/bin/sh
echo '{"g": ["s1"], "_meta": {"hostvars": {"s1": {"v": "script", "o": 1}}}}'
