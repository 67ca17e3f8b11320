#!/bin/bash
# start-dfs.sh and stop-dfs.sh: they ask what those of Hadoop ask, in as many processes, and start no SecondaryNameNode.
home=$(cd "$(dirname "$0")/.." && pwd)
verb=$(basename "$0" -dfs.sh)
# shellcheck source=/dev/null
. "$home/conf/hadoop-env.sh"
hdfs=$home/bin/hdfs
on() { # HOST DAEMON
  # The options are words.
  # shellcheck disable=SC2086
  ssh $HADOOP_SSH_OPTS "$1" "$hdfs" --daemon "$verb" "$2"
}
for host in $("$hdfs" getconf -namenodes 2>/dev/null); do on "$host" namenode; done
while read -r host; do on "$host" datanode </dev/null & done <"$home/conf/slaves"
wait
"$hdfs" getconf -secondarynamenodes >/dev/null 2>&1
"$hdfs" getconf -journalNodes >/dev/null 2>&1
"$hdfs" getconf -confKey dfs.ha.automatic-failover.enabled >/dev/null 2>&1
exit 0
