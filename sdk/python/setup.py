# SPDX-License-Identifier: Apache-2.0
# Receives: a build of the Python package. Hands on: the extension module, built by CMake from the tree this file is in.
# Owns: nothing.
import pathlib
import subprocess
import sys

import setuptools
from setuptools.command.build_ext import build_ext

TREE = pathlib.Path(__file__).resolve().parents[2]


class CMakeBuild(build_ext):
    """Builds the target farlane_python for the Python that runs this."""

    def build_extension(self, extension):
        build = pathlib.Path(self.build_temp).resolve() / "cmake"
        build.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cmake", "-S", str(TREE), "-B", str(build), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                        "-DFARLANE_TESTS=OFF", "-DFARLANE_BENCH=OFF", "-DFARLANE_DPDK=OFF", "-DFARLANE_PYTHON=ON",
                        f"-DFARLANE_PYTHON_INTERPRETER={sys.executable}"], check=True)
        subprocess.run(["cmake", "--build", str(build), "--target", "farlane_python"], check=True)
        into = pathlib.Path(self.get_ext_fullpath(extension.name)).resolve()
        into.parent.mkdir(parents=True, exist_ok=True)
        self.copy_file(str(build / "python" / into.name), str(into))


# Packages stand here: in pyproject.toml setuptools before 69 takes no name with a dash, which stubs have.
setuptools.setup(packages=["farlane-stubs"], package_data={"farlane-stubs": ["*.pyi"]},
                 ext_modules=[setuptools.Extension("farlane", sources=[])], cmdclass={"build_ext": CMakeBuild})
