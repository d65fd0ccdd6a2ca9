"""
Trains TextKD-GAN. Without options it is a short run on the built-in caption grammar:

    accelerate launch examples/train_textkd.py

The options are those of `textgan train textkd_gan`; if any is given, none is filled in:

    accelerate launch examples/train_textkd.py --train_file lines.txt --eval_file test.txt --output_dir runs/lines

`--generator recurrent` takes an LSTM instead of the convolutions, `--level word` words instead of characters. On
several GPUs add `--num_processes 2` before the script. On CPU `accelerate launch` starts one process whatever that
says; there it is

    ACCELERATE_USE_CPU=true torchrun --nproc-per-node 2 examples/train_textkd.py ...

Batches add up over the processes: two with --per_device_train_batch_size 32 make a batch of 64.
"""

import sys

from hf_textgan.cli.main import main as textgan


SHORT_RUN = (
    "--dataset_name grammar --preset laptop --output_dir runs/textkd_gan --logging_steps 50 --eval_steps 100 "
    "--pretrain_autoencoder_steps 300 --max_steps 100 --disable_tqdm true"
).split()


def main(argv: list[str]) -> int:
    return textgan(["train", "textkd_gan", *(argv or SHORT_RUN)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
