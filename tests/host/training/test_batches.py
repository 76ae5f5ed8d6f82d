import numpy as np

from edge_cnn.host.training.batches import epoch_batches


def test_an_epoch_shows_no_sample_twice_and_leaves_out_what_fills_no_batch():
    batches = epoch_batches(10, 4, seed=0, epoch=1)
    assert batches.order.shape == (2, 4)
    assert len(set(batches.order.ravel().tolist())) == 8
    assert set(batches.order.ravel().tolist()) <= set(range(10))


def test_every_sample_has_its_turn_in_a_few_epochs():
    seen = {row for epoch in range(1, 20) for row in epoch_batches(10, 4, 0, epoch).order.ravel().tolist()}
    assert seen == set(range(10))


def test_order_and_changes_are_a_function_of_seed_and_epoch():
    first, again, later, other = (epoch_batches(50, 5, *key) for key in ((3, 7), (3, 7), (3, 8), (4, 7)))
    assert np.array_equal(first.order, again.order)
    assert np.array_equal(first.seeds, again.seeds)
    for different in (later, other):
        assert not np.array_equal(first.order, different.order)
        assert not np.array_equal(first.seeds, different.seeds)
