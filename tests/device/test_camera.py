"""The camera seam over files, and the OpenCV driver over real video."""

from __future__ import annotations

import shutil
import socket
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from lamp import Lamp

from lorgnette.device.camera import FileCamera, StaleFrame
from lorgnette.device.capture import CaptureGate, CaptureRefused
from lorgnette.device.errors import DeviceError, InputError
from lorgnette.device.opencv_camera import OpenCvCamera


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three frames: red, green, blue."""
    path = tmp_path_factory.mktemp("video") / "rgb.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for bgr in ((0, 0, 255), (0, 255, 0), (255, 0, 0)):
        writer.write(np.full((48, 64, 3), bgr, np.uint8))
    writer.release()
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    assert cv2.imwrite(str(path), np.full((10, 20, 3), (0, 0, 255), np.uint8))
    return path


def test_file_camera(photo: Path) -> None:
    lamp = Lamp()
    before_ns = time.monotonic_ns()
    with FileCamera(photo, CaptureGate(lamp)) as camera:
        first = camera.latest(max_age_s=5)
        assert first.pixels[5, 5].tolist() == [255, 0, 0] and (first.width, first.height) == (20, 10)
        assert before_ns <= first.timestamp_ns <= time.monotonic_ns()
        assert cv2.imwrite(str(photo), np.full((10, 20, 3), (255, 0, 0), np.uint8))
        assert camera.latest(max_age_s=5).pixels[5, 5].tolist() == [0, 0, 255]
    assert not lamp.lit


def test_file_camera_refuses_what_is_too_old(photo: Path) -> None:
    with pytest.raises(StaleFrame, match="s old"):
        FileCamera(photo, CaptureGate(Lamp())).latest(max_age_s=0)


def test_file_camera_without_its_file(tmp_path: Path) -> None:
    lamp = Lamp()
    camera = FileCamera(tmp_path / "none.png", CaptureGate(lamp))
    with pytest.raises(InputError, match="there is no file"):
        camera.latest(1)
    assert not lamp.lit


def test_file_camera_stays_open_until_it_fails_or_is_closed(photo: Path, tmp_path: Path) -> None:
    lamp = Lamp()
    camera = FileCamera(photo, CaptureGate(lamp))
    camera.latest(1)
    assert lamp.lit == {"camera"}
    camera.show(tmp_path / "none.png")
    with pytest.raises(InputError):
        camera.latest(1)
    assert not lamp.lit
    camera.show(photo)
    camera.latest(1)
    assert lamp.lit == {"camera"}
    camera.close()
    assert not lamp.lit


def test_video_frames_and_its_end(video: Path) -> None:
    """The end of a file is what the driver sees when a camera is unplugged: no more frames."""
    lamp = Lamp()
    camera = OpenCvCamera(str(video), CaptureGate(lamp))
    assert not lamp.lit
    colours = []
    for _ in range(3):
        colours.append(int(camera.latest(5).pixels[20, 20].argmax()))
        assert lamp.lit == {"camera"}
    assert colours == [0, 1, 2]
    with pytest.raises(DeviceError, match="stopped sending pictures"):
        camera.latest(5)
    assert not lamp.lit
    assert int(camera.latest(5).pixels[20, 20].argmax()) == 0  # plugged in again
    camera.close()
    camera.close()
    assert not lamp.lit


def test_a_stale_frame_is_never_returned(video: Path) -> None:
    with OpenCvCamera(str(video), CaptureGate(Lamp())) as camera, pytest.raises(StaleFrame):
        camera.latest(max_age_s=0)


def test_no_lamp_no_picture(video: Path, photo: Path) -> None:
    gate = CaptureGate(Lamp(broken=True))
    for camera in (OpenCvCamera(str(video), gate), FileCamera(photo, gate)):
        with pytest.raises(CaptureRefused):
            camera.latest(5)


@pytest.mark.skipif(Path("/dev/video0").exists(), reason="this machine has a camera")
def test_no_camera(capfd: pytest.CaptureFixture[str]) -> None:
    lamp = Lamp()
    with pytest.raises(DeviceError, match="there is no camera 0, or it is in use"):
        OpenCvCamera(0, CaptureGate(lamp)).latest(1)
    assert not lamp.lit and capfd.readouterr().err == ""


def test_no_video(tmp_path: Path, video: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.mp4").write_text("not a video")
    shutil.copy(video, tmp_path / "cut.avi")
    with (tmp_path / "cut.avi").open("r+b") as file:
        file.truncate(100)
    with socket.socket() as taken:  # a port that nobody listens on
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/stream"
        for source in (str(tmp_path / "none.mp4"), str(tmp_path / "text.mp4"), str(tmp_path / "cut.avi"), address):
            with pytest.raises(DeviceError, match=r"cannot be opened|stopped sending"):
                OpenCvCamera(source, CaptureGate(Lamp())).latest(1)
    assert capfd.readouterr().err == ""
