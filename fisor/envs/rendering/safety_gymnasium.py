"""Safety-Gymnasium rendered by MuJoCo through EGL or OSMesa, which need no display."""

import ctypes.util
import importlib
import os
from typing import Any

import gymnasium
import numpy as np

from fisor.envs import safety_gymnasium
from fisor.envs.rendering.renderers import PICTURE_HEIGHT, PICTURE_WIDTH, RenderedEnv, simulator_of
from fisor.envs.simulators import quiet
from fisor.errors import InputError

# Name in MUJOCO_GL -> the system's library, and the package of Debian and Ubuntu that has it.
LIBRARIES = {"egl": ("EGL", "libegl1"), "osmesa": ("OSMesa", "libosmesa6")}
AREA_METRES = 1.5  # half the side of the square in which courses lie


def make(environment: str, horizon_steps: int) -> gymnasium.Env:
    """Make one of the environments, with a camera that shows the agent and the course.

    Raises:
        InputError: the simulator cannot be imported, or no OpenGL library is installed.
    """
    # Where its library is missing, MuJoCo could not be imported at all.
    wanted = os.environ.pop("MUJOCO_GL", "")
    made = safety_gymnasium.make(environment, horizon_steps)
    camera = MujocoCamera(simulator_of(made)._simulated, opengl_context(wanted))
    return RenderedEnv(made, camera.picture)


class MujocoCamera:
    """Makes pictures of a Safety-Gymnasium environment, whose model changes with each reset."""

    def __init__(self, simulated: Any, context: Any) -> None:
        """Take pictures of an environment in an OpenGL context."""
        import mujoco

        self._mujoco, self._simulated = mujoco, simulated
        self._model: Any = None
        self._context = context
        self._rectangle = mujoco.MjrRect(0, 0, PICTURE_WIDTH, PICTURE_HEIGHT)
        self._options = mujoco.MjvOption()
        _entries(self._options.geomgroup)[:] = 1  # goals, hazards and others each have a group

    def picture(self) -> np.ndarray:
        """A picture of the current state."""
        mujoco, task = self._mujoco, getattr(self._simulated, "task", self._simulated)
        self._context.make_current()
        if task.model is not self._model:
            self._model = task.model
            self._model.vis.global_.offwidth = PICTURE_WIDTH
            self._model.vis.global_.offheight = PICTURE_HEIGHT
            self._scene = mujoco.MjvScene(self._model, maxgeom=10000)
            flags = _entries(self._scene.flags)
            flags[mujoco.mjtRndFlag.mjRND_REFLECTION.value] = 0  # would enlarge the clips
            self._renderer = mujoco.MjrContext(
                self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value
            )
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._renderer)
        mujoco.mjv_updateScene(
            self._model,
            task.data,
            self._options,
            None,
            self._camera(task),
            mujoco.mjtCatBit.mjCAT_ALL.value,
            self._scene,
        )
        mujoco.mjr_render(self._rectangle, self._scene, self._renderer)
        image = np.zeros((PICTURE_HEIGHT, PICTURE_WIDTH, 3), np.uint8)
        mujoco.mjr_readPixels(image, None, self._rectangle, self._renderer)
        return image[::-1]

    def _camera(self, task: Any) -> Any:
        camera = self._mujoco.MjvCamera()
        if task is self._simulated:  # a velocity task: beside the body, and with it
            camera.azimuth, camera.elevation, camera.distance = 90.0, -40.0, 4.0
            target = [*task.data.subtree_com[1][:2], 0.4]
        else:  # above the course; moved only if the agent leaves it
            camera.azimuth, camera.elevation, camera.distance = 90.0, -60.0, 4.8
            agent = np.asarray(task.agent.pos)[:2]
            target = [*(agent - np.clip(agent, -AREA_METRES, AREA_METRES)), 0.0]
        _entries(camera.lookat)[:] = target
        return camera


def _entries(array: np.ndarray) -> np.ndarray:
    """A vector of MuJoCo's structures; on NumPy 2, release 2.3.3 gives it a stride of 0."""
    return np.lib.stride_tricks.as_strided(array, array.shape, (array.itemsize,))


def opengl_context(wanted: str = "") -> Any:
    """An OpenGL context without a display.

    Args:
        wanted: `egl` or `osmesa`; otherwise what is installed, EGL first.

    Raises:
        InputError: there is no library for it.
    """
    for name in [wanted] if wanted in LIBRARIES else LIBRARIES:
        if ctypes.util.find_library(LIBRARIES[name][0]) is None:
            continue
        try:
            with quiet():
                context = importlib.import_module(f"mujoco.{name}").GLContext
                return context(PICTURE_WIDTH, PICTURE_HEIGHT)
        except Exception:  # of several kinds, by what the library lacks
            continue
    packages = " or ".join(package for _, package in LIBRARIES.values())
    raise InputError(
        "MuJoCo cannot render: it needs OpenGL without a display; install the system package "
        f"{packages}"
    )
