"""
Trains SeqGAN. Without options it is a short run on the built-in caption grammar:

    accelerate launch examples/train_seqgan.py

The options are those of `textgan train seqgan`; if any is given, none is filled in:

    accelerate launch examples/train_seqgan.py --train_file lines.txt --eval_file test.txt --output_dir runs/lines

On several GPUs add `--num_processes 2` before the script. On CPU `accelerate launch` starts one process whatever that
says; there it is

    ACCELERATE_USE_CPU=true torchrun --nproc-per-node 2 examples/train_seqgan.py ...

Batches add up over the processes: two with --per_device_train_batch_size 32 make a batch of 64.
"""

import sys

from hf_textgan.cli.main import main as textgan


SHORT_RUN = (
    "--dataset_name grammar --preset laptop --output_dir runs/seqgan --logging_steps 100 --eval_steps 500 "
    "--pretrain_generator_steps 1000 --pretrain_discriminator_steps 100 --max_steps 20 --disable_tqdm true"
).split()


def main(argv: list[str]) -> int:
    return textgan(["train", "seqgan", *(argv or SHORT_RUN)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
