#!/usr/bin/env bash
# Trains on several GPU nodes under Slurm, one process a GPU:
#
#     sbatch --nodes=2 docs/launch/slurm.sh --gin_file=gin/tasks/rte.gin ... --workdir=runs/rte
#
# Start it in the project's folder, after `make setup EXTRAS=cuda,official`, on a file system that
# all nodes share. What follows are the flags of `jaxprompt train`. Slurm sends SIGTERM two
# minutes before the time is up: the run saves its state, and this job queues itself again
# and resumes.
#SBATCH --job-name=jaxprompt
#SBATCH --gpus-per-node=8
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail
srun --kill-on-bad-exit=1 .venv/bin/jaxprompt train --distributed \
    --gin_file=gin/runs/prompt_tuning.gin "$@"
status=$?
# 143: stopped by SIGTERM, the state saved.
if [ "$status" -eq 143 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
