"""The real batches of every iteration."""

import zlib

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from hf_textgan.core.batches import AlternatingBatches
from hf_textgan.core.schedule import Phase, PhaseSchedule, Update


TABLE = PhaseSchedule(
    [
        Phase("pretrain", 6, (Update("generator", "mle"),)),
        Phase(
            "adversarial",
            7,
            (
                Update("autoencoder", "a"),
                Update("discriminator", "d", repeat=3),
                Update("generator", "g", every=2),
                Update("discriminator", "again"),
            ),
        ),
    ]
)


class Numbers:
    """Example `i` is the number `i`."""

    def __init__(self, length: int):
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        return {"input_ids": [index]}


def collate(rows: list[dict]) -> dict:
    return {"input_ids": torch.tensor([row["input_ids"] for row in rows])}


def rounds(length: int = 10, batch_size: int = 4, **options) -> AlternatingBatches:
    return AlternatingBatches(Numbers(length), TABLE, batch_size, collate, **{"seed": 3, **options})


def numbers(batch: dict) -> list[int]:
    return batch["input_ids"][:, 0].tolist()


def contents(item: list[list[dict]]) -> list[list[list[int]]]:
    return [[numbers(batch) for batch in update] for update in item]


def streams(data: AlternatingBatches) -> dict[str, list[int]]:
    """What each player reads in the whole run, all ranks and micro-steps interleaved as a batch of theirs would be."""
    read: dict[str, list[int]] = {}
    per_iteration = data.accumulation * data.world_size
    for iteration in range(TABLE.total):
        items = [data[iteration * per_iteration + i] for i in range(per_iteration)]
        for number, update in enumerate(TABLE.at(iteration).updates):
            for k in range(update.repeat):
                for item in items:
                    read.setdefault(update.player, []).extend(numbers(item[number][k]))
    return read


def test_an_item_depends_on_seed_and_index_only():
    forward = [contents(rounds()[i]) for i in range(TABLE.total)]
    data = rounds()
    backward = [contents(data[i]) for i in reversed(range(TABLE.total))]
    assert forward == backward[::-1]
    assert contents(rounds()[9]) == forward[9], "a resumed run starts in the middle"
    assert [contents(rounds(seed=4)[i]) for i in range(TABLE.total)] != forward


def test_an_item_has_one_list_of_batches_per_update():
    data = rounds()
    for iteration in range(TABLE.total):
        updates = TABLE.at(iteration).updates
        assert [len(batches) for batches in data[iteration]] == [update.repeat for update in updates]
        assert all(len(numbers(batch)) == 4 for batches in data[iteration] for batch in batches)


@pytest.mark.parametrize(("accumulation", "world_size"), [(1, 1), (3, 1), (1, 2), (2, 2)])
def test_each_player_reads_every_example_once_per_epoch(accumulation, world_size):
    data = rounds(accumulation=accumulation, world_size=world_size)
    read = streams(data)
    # By hand: 7 iterations of 1, 7 of 3 + 1, and 6 of 1 plus every second one of 7.
    batches = {"autoencoder": 7, "discriminator": 28, "generator": 9}
    assert {name: len(stream) for name, stream in read.items()} == {
        name: count * 4 * accumulation * world_size for name, count in batches.items()
    }
    for stream in read.values():
        epochs = [stream[i : i + 10] for i in range(0, len(stream) - 9, 10)]
        assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) == len(epochs), "each epoch has its own order"


def test_players_read_in_different_orders():
    read = streams(rounds())
    assert len({tuple(stream[:10]) for stream in read.values()}) == 3


def test_a_batch_across_two_epochs_by_hand():
    data = rounds(length=5, batch_size=4)
    first, second = data._permutation("generator", 0), data._permutation("generator", 1)
    assert sorted(first) == sorted(second) == list(range(5))
    expected = [*first[:4]], [first[4], *second[:3]], [*second[3:]]
    assert numbers(data[0][0][0]) == expected[0]
    assert numbers(data[1][0][0]) == expected[1]
    assert numbers(data[2][0][0])[:2] == expected[2]


@pytest.mark.parametrize(("accumulation", "world_size"), [(2, 1), (1, 2), (2, 2)])
def test_parts_of_a_batch_make_up_the_batch(accumulation, world_size):
    """Accumulation and data parallelism split the batch of one process that has it all."""
    parts = accumulation * world_size
    whole = rounds(length=50, batch_size=8)
    split = rounds(length=50, batch_size=8 // parts, accumulation=accumulation, world_size=world_size)
    assert len(split) == parts * len(whole)
    assert streams(whole) == streams(split)
    for iteration in range(TABLE.total):
        for update, batches in enumerate(whole[iteration]):
            for k, batch in enumerate(batches):
                items = [numbers(split[iteration * parts + i][update][k]) for i in range(parts)]
                assert sum(items, []) == numbers(batch)


def test_ranks_of_a_sharded_loader_read_disjoint_data():
    data = rounds(length=50, batch_size=4, accumulation=2, world_size=2)
    # The first 3 iterations: 12 items, dealt out in update; together 48 of the 50 examples of the first epoch.
    first, second = ({n for i in range(rank, 12, 2) for n in numbers(data[i][0][0])} for rank in range(2))
    assert len(first) == len(second) == 24
    assert not first & second


def test_worker_processes_change_nothing():
    def read(workers: int) -> list:
        loader = DataLoader(rounds(), batch_size=1, collate_fn=lambda items: items[0], num_workers=workers)
        return [contents(item) for item in loader]

    assert read(0) == read(2)


def test_datasets_that_fetch_many_rows_at_once_give_the_same():
    from datasets import Dataset

    table = Dataset.from_dict({"input_ids": [[i] for i in range(10)]})
    data = AlternatingBatches(table, TABLE, 4, collate, seed=3)
    assert [contents(data[i]) for i in range(TABLE.total)] == [contents(rounds()[i]) for i in range(TABLE.total)]


@pytest.mark.parametrize("length", [1, 2, 3, 10, 1000, 65_537, 1_000_003])
def test_an_order_takes_four_bytes_a_row_and_is_that_of_numpy(length):
    order = rounds(length=length)._permutation("generator", 5)
    generator = np.random.Generator(np.random.PCG64([3, zlib.crc32(b"generator"), 5]))
    assert np.array_equal(order, generator.permutation(length))
    assert order.nbytes == 4 * length


def test_permutations_of_past_epochs_are_forgotten():
    data = rounds(length=4)
    for i in range(TABLE.total):
        data[i]
    assert len(data._permutations) <= 2 * 3


@pytest.mark.parametrize("index", [-1, 13])
def test_an_index_outside_the_run_is_an_error(index):
    with pytest.raises(IndexError, match=f"index is {index}; this run has 13 micro-steps"):
        rounds()[index]
