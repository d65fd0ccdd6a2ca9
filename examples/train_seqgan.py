"""
Trains SeqGAN; the options are those of `textgan train seqgan`.

    accelerate launch examples/train_seqgan.py --dataset_name grammar --preset laptop --output_dir runs/seqgan

On several GPUs add `--num_processes 2` before the script. On CPU `accelerate launch` starts one process whatever that
says; there it is

    ACCELERATE_USE_CPU=true torchrun --nproc-per-node 2 examples/train_seqgan.py ...

Batches add up over the processes: two with --per_device_train_batch_size 32 make a batch of 64.
"""

import sys

from hf_textgan.cli.main import main


if __name__ == "__main__":
    sys.exit(main(["train", "seqgan", *sys.argv[1:]]))
