"""
Trains SeqGAN; the options are those of `textgan train seqgan`.

    accelerate launch --num_processes 2 --cpu examples/train_seqgan.py \
        --dataset_name grammar --preset laptop --output_dir runs/seqgan

Batches add up over the processes: two with --per_device_train_batch_size 32 make a batch of 64.
"""

import sys

from hf_textgan.cli.main import main


if __name__ == "__main__":
    sys.exit(main(["train", "seqgan", *sys.argv[1:]]))
