#!/bin/bash
# Stands for Spark's own program of this name, which Spark's archive at PyPI does not have; spark-daemon.sh is Spark's.
SPARK_HOME=$(cd "$(dirname "$0")/.." && pwd)
export SPARK_HOME
# shellcheck source=/dev/null
. "$SPARK_HOME/sbin/spark-config.sh"
# shellcheck source=/dev/null
. "$SPARK_HOME/bin/load-spark-env.sh"
daemon=$SPARK_HOME/sbin/spark-daemon.sh
deploy=org.apache.spark.deploy
"$daemon" start $deploy.master.Master 1 --host "$SPARK_MASTER_HOST" --port 7077 --webui-port 8080
while read -r host; do
  # Here and there it lies at the same place.
  # shellcheck disable=SC2029
  ssh -o StrictHostKeyChecking=no "$host" \
    "$daemon start $deploy.worker.Worker 1 --webui-port 8081 spark://$SPARK_MASTER_HOST:7077" </dev/null &
done <"$SPARK_HOME/conf/slaves"
wait
