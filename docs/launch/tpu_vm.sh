#!/usr/bin/env bash
# Trains on every host of a Cloud TPU VM slice. On your own machine, with gcloud set up:
#
#     docs/launch/tpu_vm.sh SLICE ZONE gs://BUCKET/FOLDER --gin_file=gin/tasks/rte.gin ...
#
# The slice exists already (gcloud compute tpus tpu-vm create), and so does a bucket that
# its hosts can read and write: it is mounted as a folder, because a run's folder must be
# one that all hosts share. What follows are the flags of `jaxprompt train`. Run the same
# line again after a preemption: it resumes.
set -euo pipefail
slice=$1 zone=$2 folder=$3
shift 3
flags=$(printf ' %q' "$@")
bucket=${folder#gs://}
bucket=${bucket%%/*}
inside=${folder#gs://"$bucket"}

gcloud compute tpus tpu-vm ssh "$slice" --zone="$zone" --worker=all --command="
set -euo pipefail
command -v gcsfuse > /dev/null || { echo 'install gcsfuse on the hosts first'; exit 1; }
mkdir -p ~/runs
mountpoint -q ~/runs || gcsfuse --implicit-dirs '$bucket' ~/runs
test -d jaxprompt || git clone https://github.com/jaxprompt/jaxprompt
cd jaxprompt
make setup EXTRAS=tpu,official
.venv/bin/jaxprompt train --distributed \
    --gin_file=gin/runs/prompt_tuning.gin --workdir=\$HOME/runs'$inside' $flags
"
