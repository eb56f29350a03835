# SPDX-License-Identifier: Apache-2.0
# The accelerator API (farlane/accel*.hpp), on top of farlane_lib.
add_library(farlane_accel STATIC accel_context.cpp accel_device.cpp accel_kernels.cpp accel_memory.cpp accel_queue.cpp
            accel_state.cpp accel_stream.cpp)
target_link_libraries(farlane_accel PUBLIC farlane_lib farlane_base PRIVATE farlane_options)
