"""Memory is planned before it is used; a scan that does not fit is cut into windows or refused."""

import gzip
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from phantoms import head
from torch import nn

from voxlate.errors import TemporaryFailure
from voxlate.inference.files import translate_file
from voxlate.inference.memory import (
    WindowPlan,
    activation_budget,
    budget_bytes,
    bytes_per_voxel,
    plan_windows,
    require_memory,
    volume_bytes,
)
from voxlate.inference.predict import predict
from voxlate.inference.translate import Options, translate_volume
from voxlate.io.nifti import write_volume

CPU = torch.device("cpu")


class Convolution(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = nn.Conv3d(1, channels, 3, padding=1, bias=False)

    def forward(self, x):
        return self.layer(x)


def test_the_budget_is_what_the_user_allows_or_else_the_memory_of_the_machine():
    assert budget_bytes(CPU, 1.5) == 3 << 29
    assert 1 << 28 < budget_bytes(CPU) <= 1 << 62


@pytest.mark.parametrize("channels", [1, 5])
def test_one_convolution_holds_its_answer_and_copies_of_what_it_takes_and_gives(channels):
    assert bytes_per_voxel(Convolution(channels), 1) == 4 * (1 + channels + 1 + channels)


def test_what_is_no_longer_needed_is_not_counted_twice():
    chain = nn.Sequential(*(nn.ReLU() for _ in range(20)))
    assert bytes_per_voxel(chain, 1) <= 4 * 3


def test_counting_does_not_load_the_compiler_of_torch():
    code = (
        "import sys; from torch import nn; from voxlate.inference.memory import bytes_per_voxel\n"
        "assert bytes_per_voxel(nn.ReLU(), 1) > 0\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_largest_window_that_fits_is_taken_and_none_where_the_box_fits():
    network = Convolution(1)
    box = (100, 120, 90)
    assert plan_windows(network, 1, box, window=None, memory_bytes=16 * 100 * 120 * 90) == WindowPlan(
        None, 16 * 1_080_000, is_cut=False
    )
    cut = plan_windows(network, 1, box, window=None, memory_bytes=16 * 100 * 120 * 90 - 1)
    assert (cut.window, cut.is_cut) == ((96, 96, 96), True)
    assert plan_windows(network, 1, box, window=None, memory_bytes=16 * 40**3).window == (32, 32, 32)
    assert plan_windows(network, 1, box, window=(64, 64, 64), memory_bytes=0).window == (64, 64, 64)
    with pytest.raises(TemporaryFailure, match=r"MEMORY .*32³"):
        plan_windows(network, 1, box, window=None, memory_bytes=16 * 32**3 - 1)


def test_a_scan_is_refused_by_its_header_before_a_voxel_is_read(bundle, tmp_path):
    whole = tmp_path / "whole.nii.gz"
    write_volume(whole, head(0, shape=(14, 15, 13)))
    header = bytearray(gzip.decompress(whole.read_bytes())[:352])
    header[42:48] = np.array([700, 700, 700], "<i2").tobytes()
    (tmp_path / "scan.nii").write_bytes(bytes(header))  # without voxels: whoever read on would find it truncated
    with pytest.raises(TemporaryFailure, match=r"MEMORY scan.nii: 700 x 700 x 700 voxels take .* GiB, 2.0 may be used"):
        translate_file(bundle, tmp_path / "scan.nii", tmp_path / "out.nii.gz", options=Options(memory_gib=2))
    assert not (tmp_path / "out.nii.gz").exists()
    require_memory((240, 240, 155), 2, name="usual")


def test_a_box_that_is_cut_gives_the_answer_of_the_whole_and_says_so(bundle, monkeypatch, caplog):
    scan = head(0, shape=(60, 50, 40))
    whole = translate_volume(bundle, scan)
    monkeypatch.setattr("voxlate.inference.memory.PROGRAM_BYTES", 0)
    room = int(bytes_per_voxel(bundle.network, 1) * 33**3)
    allowed = (room + volume_bytes(scan.grid.shape)) / 0.8 / 2**30
    cut = translate_volume(bundle, scan, options=Options(memory_gib=allowed))
    assert (whole.window, cut.window) == (None, (32, 32, 32))
    assert np.allclose(cut.volume.data, whole.volume.data, rtol=1e-5, atol=1e-3)
    assert "WINDOWED" in caplog.text


def test_processes_that_share_a_gpu_plan_with_a_part_of_its_memory_each(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=80 << 30))
    gpu, shape = torch.device("cuda"), (99, 99, 99)
    alone = activation_budget(gpu, shape)
    assert alone == int(0.8 * (80 << 30))
    assert 4 * activation_budget(gpu, shape, processes=4) == pytest.approx(alone, abs=4)
    # What the user allows is that of one process. On a CPU the bytes would depend on the number of processes.
    assert activation_budget(gpu, shape, 8.0, processes=4) == activation_budget(gpu, shape, 8.0)
    assert activation_budget(CPU, shape, processes=4) == activation_budget(CPU, shape)


def test_a_full_graphics_processor_gets_smaller_windows_and_never_another_device(bundle, monkeypatch, caplog):
    def only_small(x):
        if x[0, 0].numel() > 32**3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x

    monkeypatch.setattr("voxlate.inference.predict.runner_of", lambda *_: only_small)
    x = torch.rand(1, 1, 50, 60, 40)
    found = predict(bundle, x, runtime="torch", mirror=False, memory_bytes=1 << 40)
    assert found.window == (32, 32, 32)
    assert np.allclose(found.mean, x[0, 0].numpy(), atol=1e-6)
    assert caplog.text.count("WINDOWED") == 2  # 48, the first that is smaller than the box, is too large as well

    def never(x):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("voxlate.inference.predict.runner_of", lambda *_: never)
    with pytest.raises(TemporaryFailure, match=r"MEMORY the memory of cpu is full"):
        predict(bundle, x, runtime="torch", mirror=False, memory_bytes=1 << 40)
