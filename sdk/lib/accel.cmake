# SPDX-License-Identifier: Apache-2.0
# The accelerator API (farlane/accel*.hpp), on top of farlane_lib.
file(GLOB farlane_accel_sources CONFIGURE_DEPENDS accel_*.cpp)
add_library(farlane_accel STATIC ${farlane_accel_sources})
target_link_libraries(farlane_accel PUBLIC farlane_lib farlane_base PRIVATE farlane_options)
