"""
Trains TextKD-GAN; the options are those of `textgan train textkd_gan`.

    accelerate launch examples/train_textkd.py --train_file lines.txt --eval_file test.txt --preset laptop \\
        --output_dir runs/textkd

`--generator recurrent` takes an LSTM in the place of the convolutions, `--level word` words in that of characters. On
several GPUs add `--num_processes 2` before the script. On CPU `accelerate launch` starts one process whatever that
says; there it is

    ACCELERATE_USE_CPU=true torchrun --nproc-per-node 2 examples/train_textkd.py ...

Batches add up over the processes: two with --per_device_train_batch_size 32 take the steps of one with 64.
"""

import sys

from hf_textgan.cli.main import main


if __name__ == "__main__":
    sys.exit(main(["train", "textkd_gan", *sys.argv[1:]]))
