// SPDX-License-Identifier: Apache-2.0
// Receives: calls about energy. Hands on: a meter that grows by one millijoule with each look. Owns: the meter. A
// stand-in for libnvidia-ml.so.1, as the rest of this folder.
#include <atomic>
#include <cstdio>

extern "C" {

int nvmlInit_v2() {
    return 0;
}
int nvmlSystemGetDriverVersion(char* text, unsigned bytes) {
    std::snprintf(text, bytes, "999.01");
    return 0;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char*, void** device) {
    static int one;
    *device = &one;
    return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void*, unsigned long long* mj) {
    static std::atomic<unsigned long long> meter{1000};
    *mj = ++meter;
    return 0;
}

}  // extern "C"
