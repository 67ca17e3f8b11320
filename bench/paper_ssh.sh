#!/bin/sh
# `ssh` to machines that are not there: answers as one on which everything is as it should be.
for word; do :; done
mark=${word#*echo }
mark=${mark%% *}
case $mark in
    BECOME-SUCCESS-*) echo "$mark" ;;
esac
cat >/dev/null
case $word in
    *'python3 -I -'*) echo '[{"changed": false, "changed_paths": [], "actions": []}]' ;;
    *) echo '{"changed": false}' ;;
esac
