// SPDX-License-Identifier: Apache-2.0
// Receives: what sysfs says of the kernel module and of its slots. Hands on: PCI addresses, and what
// doctor tells an operator. Owns: nothing.
#include <chrono>
#include <fstream>
#include <thread>

#include <unistd.h>

#include "daemon/kernel_bus.hpp"

namespace farlane::daemon {
namespace {

std::string first_line(const std::string& path) {
    std::ifstream in(path);
    std::string line;
    std::getline(in, line);
    return line;
}

bool is_there(const std::string& path) {
    return ::access(path.c_str(), F_OK) == 0;
}

const char* mode_name(KernelMode mode) {
    switch (mode) {
        case KernelMode::on: return "on";
        case KernelMode::off: return "off";
        case KernelMode::automatic: break;
    }
    return "auto";
}

Json row(const char* status, const std::string& detail, const std::string& hint) {
    return {{"name", "kernel module"}, {"status", status}, {"detail", detail}, {"hint", hint}};
}

}  // namespace

// A slot's address names bus and device; pciehp gives a slot one device, and Farlane's have one function.
std::string pci_address_of_slot(std::uint32_t slot, const std::string& root) {
    const std::string name = "farlane" + std::to_string(slot);
    const std::string device = first_line(root + "/bus/pci/slots/" + name + "/address");
    if (device.empty()) return "";
    const std::string address = device + ".0";
    return is_there(root + "/bus/pci/devices/" + address) ? address : "";
}

bool has_driver(const std::string& address, const std::string& root) {
    return is_there(root + "/bus/pci/devices/" + address + "/driver");
}

bool wait_for_slot(std::uint32_t slot, const std::string& root) {
    using namespace std::chrono_literals;
    constexpr auto kNap = 10ms;
    if (!is_there(root + "/bus/pci/slots/farlane" + std::to_string(slot))) return false;
    const auto deadline = std::chrono::steady_clock::now() + 2s;
    std::string address;
    while ((address = pci_address_of_slot(slot, root)).empty() && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(kNap);
    if (address.empty()) return false;
    // A moment later it has a driver, or what keeps drivers off; or this host knows no driver for it.
    const auto decided = std::chrono::steady_clock::now() + 500ms;
    while (!has_driver(address, root) && std::chrono::steady_clock::now() < decided) {
        const std::string override = first_line(root + "/bus/pci/devices/" + address + "/driver_override");
        if (override == "farlane-not-allowed") return true;  // kmod/allow.c
        if (!override.empty() && override != "(null)") return false;
        std::this_thread::sleep_for(kNap);
    }
    return false;
}

Json kernel_doctor_json(const Config& config) {
    Json j = {{"mode", mode_name(config.kernel.mode)},
              {"loaded", is_there("/sys/module/farlane")},
              {"version", first_line("/sys/module/farlane/version")},
              {"node", kControlNode},
              {"node_there", is_there(kControlNode)},
              {"may_open", ::access(kControlNode, R_OK | W_OK) == 0},
              {"cpus", std::max(1U, std::thread::hardware_concurrency())}};
    return j;
}

Json kernel_doctor_check(const Json& k) {
    const bool on = k.at("mode") == "on";
    if (k.at("mode") == "off") return row("ok", "not used: [kernel] mode = \"off\"", "");
    if (k.at("loaded") == false)
        return row(on ? "fail" : "ok", "not loaded: functions are for applications, not for drivers",
                   on ? "modprobe farlane" : "optional: modprobe farlane gives attached functions to stock drivers");
    const std::string version = k.at("version").get<std::string>();
    if (k.at("node_there") == false)
        return row("fail", "farlane.ko " + version + " is loaded, but " + kControlNode + " is not there",
                   "is udev or devtmpfs running? dmesg | grep farlane");
    if (k.at("may_open") == false)
        return row(on ? "fail" : "warn", std::string("no permission for ") + kControlNode,
                   "run farlaned as root, or give the node to farlaned's user by a udev rule");
    // A processor that waits for a register of a remote device spins; the lane needs another one.
    if (k.at("cpus").get<unsigned>() < 2)
        return row("warn", "farlane.ko " + version + ", but one processor only",
                   "two are needed: a driver that reads a register waits for farlaned on the other one");
    return row("ok", "farlane.ko " + version, "");
}

}  // namespace farlane::daemon
