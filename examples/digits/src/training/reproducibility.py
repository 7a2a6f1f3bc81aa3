"""One seed, one result: seeds, deterministic kernels and a fixed number of threads."""

import os
import random

import numpy as np
import torch


def make_reproducible(seed: int, threads: int) -> None:
    """Seed every generator and refuse operations that have no deterministic kernel.

    Call it before the first tensor operation. The thread count is part of the result: sums over
    another number of threads round differently.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # asked for by cuBLAS, see docs
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
