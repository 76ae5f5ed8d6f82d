"""The number of BLAS threads, as threadpoolctl (another program) sees it."""

import pytest

from edge_cnn.device.training.blas_threads import one_blas_thread


def seen() -> list[int]:
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="comes with scikit-learn: pip install scikit-learn")
    return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["internal_api"] == "openblas"]


def test_openblas_works_on_one_thread_inside_and_on_as_many_as_before_outside():
    import threadpoolctl

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = seen()
        if not before:
            pytest.skip("numpy uses no OpenBLAS here; a numpy wheel from PyPI on Linux does")
        with one_blas_thread():
            assert set(seen()) == {1}
        assert seen() == before


def test_the_number_of_threads_comes_back_after_an_error():
    before = seen()
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        raise ZeroDivisionError
    assert seen() == before
