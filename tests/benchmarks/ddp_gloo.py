#!/usr/bin/env python3
"""The wear model of bench_train, trained by PyTorch's DistributedDataParallel with gloo: seconds a step.

    ddp_gloo.py [RANKS HEIGHT_PX WIDTH_PX BATCH REPEATS]

BATCH is that of all ranks; one thread a rank. Needs Debian's python3-torch.
"""
import os
import statistics
import sys
import time

try:
    import torch
    import torch.distributed as dist
    import torch.multiprocessing as mp
    from torch import nn
except ImportError:
    sys.exit(print("skipped: no PyTorch for Python here (Debian: python3-torch)"))

if not (dist.is_available() and dist.is_gloo_available()):
    sys.exit(print("skipped: this PyTorch has no gloo"))


class StockNetwork(nn.Module):
    def __init__(self, height_px, width_px, time_hidden=64, time_maps=8):
        super().__init__()
        maps = [1, 32, 64, 128, 256, 512]
        self.encoder = nn.Sequential(
            *(layer for cin, cout in zip(maps, maps[1:]) for layer in (nn.Conv2d(cin, cout, 4, 2, 1), nn.ReLU())))
        self.cells = (time_maps, height_px // 32, width_px // 32)
        self.time = nn.Sequential(nn.Linear(1, time_hidden), nn.ReLU(),
                                  nn.Linear(time_hidden, time_maps * self.cells[1] * self.cells[2]), nn.ReLU())
        maps = [512 + time_maps, 256, 128, 64, 32, 1]
        layers = [layer for cin, cout in zip(maps, maps[1:])
                  for layer in (nn.ConvTranspose2d(cin, cout, 4, 2, 1), nn.ReLU())]
        self.decoder = nn.Sequential(*layers[:-1], nn.Sigmoid())

    def forward(self, x, weeks):
        maps = self.encoder(x)
        return self.decoder(torch.cat([maps, self.time(weeks).view(-1, *self.cells)], 1))


def train(rank, ranks, height_px, width_px, batch, repeats):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29511")
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
    torch.set_num_threads(1)
    model = nn.parallel.DistributedDataParallel(StockNetwork(height_px, width_px))
    adam = torch.optim.Adam(model.parameters(), 1e-5)
    pairs = batch // ranks + (rank < batch % ranks)
    x, weeks, target = torch.rand(pairs, 1, height_px, width_px), torch.rand(pairs, 1), torch.rand(
        pairs, 1, height_px, width_px)
    seconds = []
    for _ in range(repeats + 1):
        dist.barrier()
        start = time.perf_counter()
        adam.zero_grad()
        (model(x, weeks) - target).square().mean().backward()
        adam.step()
        dist.barrier()
        seconds.append(time.perf_counter() - start)
    if rank == 0:
        print(f"{height_px} x {width_px} px, batch {batch}, {ranks} rank(s) of gloo: "
              f"{statistics.median(seconds[1:]):.4f} s a step")


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]] or [2, 160, 64, 16, 9]
    mp.spawn(train, args=tuple(numbers), nprocs=numbers[0])
