// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the layout of capabilities as data. Owns: nothing.
// PCI Local Bus 3.0 chapter 6; PCI Power Management 1.2; PCI Express Base 6.0 chapter 7.
#include "farlane/capability_tables.hpp"

#include <array>
#include <cstdio>

#include "farlane/config_space.hpp"

namespace farlane::cli {
namespace {

using F = FieldLayout;
using R = RegisterLayout;

// --- texts of values

template <std::size_t N>
std::string pick(const std::array<const char*, N>& names, std::uint64_t v) {
    return v < N ? names[v] : "reserved";
}
std::string bytes_from_128(std::uint64_t v) {
    return v <= 5 ? std::to_string(128u << v) + " bytes" : "reserved";
}
std::string power_state(std::uint64_t v) {
    return pick(std::array{"D0", "D1", "D2", "D3hot"}, v);
}
std::string link_speed(std::uint64_t v) {
    return pick(std::array{"none", "2.5 GT/s", "5 GT/s", "8 GT/s", "16 GT/s", "32 GT/s", "64 GT/s"}, v);
}
std::string link_width(std::uint64_t v) {
    return "x" + std::to_string(v);
}
std::string port_type(std::uint64_t v) {
    return pick(std::array{"endpoint", "legacy endpoint", "reserved", "reserved", "root port", "upstream port",
                           "downstream port", "PCIe to PCI bridge", "PCI to PCIe bridge",
                           "root complex integrated endpoint", "root complex event collector"},
                v);
}
std::string aspm(std::uint64_t v) {
    return pick(std::array{"none", "L0s", "L1", "L0s and L1"}, v);
}
std::string timeout_range(std::uint64_t v) {
    switch (v) {
        case 0: return "50 us to 50 ms";
        case 1: return "50 us to 100 us";
        case 2: return "1 ms to 10 ms";
        case 5: return "16 ms to 55 ms";
        case 6: return "65 ms to 210 ms";
        case 9: return "260 ms to 900 ms";
        case 10: return "1 s to 3.5 s";
        case 13: return "4 s to 13 s";
        case 14: return "17 s to 64 s";
        default: return "reserved";
    }
}
std::string vector_count(std::uint64_t v) {
    return v <= 5 ? std::to_string(1u << v) : "reserved";
}
std::string pin(std::uint64_t v) {
    return pick(std::array{"none", "A", "B", "C", "D"}, v);
}
std::string serial_text(std::uint64_t v) {
    std::string out;
    for (int shift = 56; shift >= 0; shift -= 8) {
        char part[4];
        std::snprintf(part, sizeof part, "%02x", static_cast<unsigned>(v >> shift) & 0xffu);
        out += (out.empty() ? "" : "-") + std::string(part);
    }
    return out;
}
std::string class_text(std::uint64_t v) {
    return class_name(static_cast<std::uint32_t>(v));
}

// --- header, PCI 3.0, 6.1

constexpr F kCommand[] = {{"io_space", 0},        {"memory_space", 1}, {"bus_master", 2},
                          {"parity_response", 6}, {"serr_enable", 8},  {"intx_disable", 10}};
constexpr F kStatus[] = {{"immediate_readiness", 0},    {"intx", 3},
                         {"capabilities_list", 4},      {"master_data_parity_error", 8},
                         {"signaled_target_abort", 11}, {"received_target_abort", 12},
                         {"received_master_abort", 13}, {"signaled_system_error", 14},
                         {"detected_parity_error", 15}};
constexpr F kHeaderType[] = {{"layout", 0, 7}, {"multi_function", 7}};
constexpr F kPin[] = {{.name = "pin", .low = 0, .width = 8, .text = pin}};
constexpr R kHeader[] = {{"vendor_id", 0x00, 2},
                         {"device_id", 0x02, 2},
                         {"command", 0x04, 2, kCommand},
                         {"status", 0x06, 2, kStatus},
                         {"revision", 0x08, 1},
                         {"class_code", 0x09, 3, {}, class_text},
                         {"cache_line_size", 0x0c, 1},
                         {"latency_timer", 0x0d, 1},
                         {"header_type", 0x0e, 1, kHeaderType},
                         {"bist", 0x0f, 1},
                         {"subsystem_vendor_id", 0x2c, 2},
                         {"subsystem_id", 0x2e, 2},
                         {"expansion_rom", 0x30, 4},
                         {"capabilities_pointer", 0x34, 1},
                         {"interrupt_line", 0x3c, 1},
                         {"interrupt_pin", 0x3d, 1, kPin}};

// --- Power Management, PM 1.2, 3.2

constexpr F kPmc[] = {{"version", 0, 3},
                      {"pme_clock", 3},
                      {"immediate_readiness", 4},
                      {"device_specific_init", 5},
                      {"aux_current", 6, 3},
                      {"d1", 9},
                      {"d2", 10},
                      {"pme_d0", 11},
                      {"pme_d1", 12},
                      {"pme_d2", 13},
                      {"pme_d3hot", 14},
                      {"pme_d3cold", 15}};
constexpr F kPmcsr[] = {{.name = "power_state", .low = 0, .width = 2, .text = power_state},
                        {"no_soft_reset", 3},
                        {"pme_enable", 8},
                        {"data_select", 9, 4},
                        {"data_scale", 13, 2},
                        {"pme_status", 15}};
constexpr R kPm[] = {{"capabilities", 2, 2, kPmc}, {"control_status", 4, 2, kPmcsr}};

// --- MSI, PCI 3.0, 6.8.1: four layouts

constexpr F kMsiControl[] = {{"enable", 0},
                             {.name = "vectors_capable", .low = 1, .width = 3, .text = vector_count},
                             {.name = "vectors_enabled", .low = 4, .width = 3, .text = vector_count},
                             {"address_64bit", 7},
                             {"per_vector_masking", 8}};
constexpr R kMsi32[] = {{"control", 2, 2, kMsiControl}, {"address", 4, 4}, {"data", 8, 2}};
constexpr R kMsi64[] = {{"control", 2, 2, kMsiControl}, {"address", 4, 8}, {"data", 12, 2}};
constexpr R kMsi32Mask[] = {
    {"control", 2, 2, kMsiControl}, {"address", 4, 4}, {"data", 8, 2}, {"mask", 12, 4}, {"pending", 16, 4}};
constexpr R kMsi64Mask[] = {
    {"control", 2, 2, kMsiControl}, {"address", 4, 8}, {"data", 12, 2}, {"mask", 16, 4}, {"pending", 20, 4}};

// --- MSI-X, PCI 3.0, 6.8.2

constexpr F kMsixControl[] = {
    {.name = "table_size", .low = 0, .width = 11, .add = 1}, {"function_mask", 14}, {"enable", 15}};
constexpr F kMsixWhere[] = {{"bar", 0, 3}, {.name = "offset", .low = 3, .width = 29, .shift_left = 3}};
constexpr R kMsix[] = {
    {"control", 2, 2, kMsixControl}, {"table", 4, 4, kMsixWhere}, {"pending_bits", 8, 4, kMsixWhere}};

// --- PCI Express, 7.5.3

constexpr F kExpress[] = {{"version", 0, 4},
                          {.name = "type", .low = 4, .width = 4, .text = port_type},
                          {"slot", 8},
                          {"interrupt_message", 9, 5}};
constexpr F kDeviceCapabilities[] = {{.name = "max_payload", .low = 0, .width = 3, .text = bytes_from_128},
                                     {"phantom_functions", 3, 2},
                                     {"extended_tag", 5},
                                     {"l0s_latency", 6, 3},
                                     {"l1_latency", 9, 3},
                                     {"role_based_error", 15},
                                     {"slot_power", 18, 8},
                                     {"slot_power_scale", 26, 2},
                                     {"function_level_reset", 28}};
constexpr F kDeviceControl[] = {{"correctable_error_reporting", 0},
                                {"non_fatal_error_reporting", 1},
                                {"fatal_error_reporting", 2},
                                {"unsupported_request_reporting", 3},
                                {"relaxed_ordering", 4},
                                {.name = "max_payload", .low = 5, .width = 3, .text = bytes_from_128},
                                {"extended_tag", 8},
                                {"phantom_functions", 9},
                                {"aux_power", 10},
                                {"no_snoop", 11},
                                {.name = "max_read_request", .low = 12, .width = 3, .text = bytes_from_128},
                                {"initiate_reset", 15}};
constexpr F kDeviceStatus[] = {{"correctable_error", 0},   {"non_fatal_error", 1}, {"fatal_error", 2},
                               {"unsupported_request", 3}, {"aux_power", 4},       {"transactions_pending", 5}};
constexpr F kLinkCapabilities[] = {{.name = "max_speed", .low = 0, .width = 4, .text = link_speed},
                                   {.name = "max_width", .low = 4, .width = 6, .text = link_width},
                                   {.name = "aspm", .low = 10, .width = 2, .text = aspm},
                                   {"l0s_exit_latency", 12, 3},
                                   {"l1_exit_latency", 15, 3},
                                   {"clock_pm", 18},
                                   {"surprise_down_reporting", 19},
                                   {"link_active_reporting", 20},
                                   {"bandwidth_notification", 21},
                                   {"aspm_optionality", 22},
                                   {"port_number", 24, 8}};
constexpr F kLinkControl[] = {{.name = "aspm", .low = 0, .width = 2, .text = aspm},
                              {"read_completion_boundary_128", 3},
                              {"disable", 4},
                              {"retrain", 5},
                              {"common_clock", 6},
                              {"extended_synch", 7},
                              {"clock_pm", 8}};
constexpr F kLinkStatus[] = {{.name = "speed", .low = 0, .width = 4, .text = link_speed},
                             {.name = "width", .low = 4, .width = 6, .text = link_width},
                             {"training", 11},
                             {"slot_clock", 12},
                             {"data_link_active", 13}};
constexpr F kDeviceCapabilities2[] = {{"completion_timeout_ranges", 0, 4},
                                      {"completion_timeout_disable", 4},
                                      {"ari_forwarding", 5},
                                      {"atomic_routing", 6},
                                      {"atomic_32bit", 7},
                                      {"atomic_64bit", 8},
                                      {"cas_128bit", 9},
                                      {"ltr", 11},
                                      {"tag_10bit_completer", 16},
                                      {"tag_10bit_requester", 17},
                                      {"extended_format", 20},
                                      {"end_end_prefix", 21}};
constexpr F kDeviceControl2[] = {{.name = "completion_timeout", .low = 0, .width = 4, .text = timeout_range},
                                 {"completion_timeout_disable", 4},
                                 {"ari_forwarding", 5},
                                 {"atomic_requester", 6},
                                 {"ido_request", 8},
                                 {"ido_completion", 9},
                                 {"ltr", 10}};
constexpr R kPcie[] = {{"express", 2, 2, kExpress},
                       {"device_capabilities", 4, 4, kDeviceCapabilities},
                       {"device_control", 8, 2, kDeviceControl},
                       {"device_status", 10, 2, kDeviceStatus},
                       {"link_capabilities", 12, 4, kLinkCapabilities},
                       {"link_control", 16, 2, kLinkControl},
                       {"link_status", 18, 2, kLinkStatus},
                       {"device_capabilities_2", 36, 4, kDeviceCapabilities2},
                       {"device_control_2", 40, 2, kDeviceControl2}};
constexpr std::span<const R> kPcieVersion1 = std::span(kPcie).first(7);

constexpr R kVendorSpecific[] = {{"length", 2, 1}};

// --- Device Serial Number, 7.9.3; Advanced Error Reporting, 7.8.4

constexpr R kSerial[] = {{"serial", 4, 8, {}, serial_text}};

constexpr F kUncorrectable[] = {{"data_link_protocol", 4},
                                {"surprise_down", 5},
                                {"poisoned_tlp", 12},
                                {"flow_control", 13},
                                {"completion_timeout", 14},
                                {"completer_abort", 15},
                                {"unexpected_completion", 16},
                                {"receiver_overflow", 17},
                                {"malformed_tlp", 18},
                                {"ecrc", 19},
                                {"unsupported_request", 20},
                                {"acs_violation", 21},
                                {"internal", 22},
                                {"multicast_blocked", 23},
                                {"atomic_egress_blocked", 24},
                                {"prefix_blocked", 25},
                                {"poisoned_egress_blocked", 26}};
constexpr F kCorrectable[] = {{"receiver", 0},        {"bad_tlp", 6},
                              {"bad_dllp", 7},        {"replay_rollover", 8},
                              {"replay_timeout", 12}, {"advisory_non_fatal", 13},
                              {"internal", 14},       {"header_log_overflow", 15}};
constexpr F kErrorControl[] = {
    {"first_error", 0, 5}, {"ecrc_generation_capable", 5}, {"ecrc_generation", 6},  {"ecrc_check_capable", 7},
    {"ecrc_check", 8},     {"multiple_header_capable", 9}, {"multiple_header", 10}, {"prefix_log_present", 11}};
constexpr R kErrors[] = {{"uncorrectable_status", 4, 4, kUncorrectable},
                         {"uncorrectable_mask", 8, 4, kUncorrectable},
                         {"uncorrectable_severity", 12, 4, kUncorrectable},
                         {"correctable_status", 16, 4, kCorrectable},
                         {"correctable_mask", 20, 4, kCorrectable},
                         {"control", 24, 4, kErrorControl},
                         {"header_log_0", 28, 4},
                         {"header_log_1", 32, 4},
                         {"header_log_2", 36, 4},
                         {"header_log_3", 40, 4}};

constexpr CapabilityLayout kCapabilities[] = {{0x01, "Power Management", kPm},
                                              {0x03, "Vital Product Data"},
                                              {0x04, "Slot Identification"},
                                              {0x05, "MSI", kMsi32},
                                              {0x09, "Vendor Specific", kVendorSpecific},
                                              {0x0d, "Bridge Subsystem Id"},
                                              {0x10, "PCI Express", kPcie},
                                              {0x11, "MSI-X", kMsix},
                                              {0x12, "SATA"},
                                              {0x13, "Advanced Features"},
                                              {0x14, "Enhanced Allocation"}};
constexpr CapabilityLayout kMsiWith64{0x05, "MSI", kMsi64};
constexpr CapabilityLayout kMsiWithMask{0x05, "MSI", kMsi32Mask};
constexpr CapabilityLayout kMsiWithBoth{0x05, "MSI", kMsi64Mask};
constexpr CapabilityLayout kOldPcie{0x10, "PCI Express", kPcieVersion1};

constexpr CapabilityLayout kExtended[] = {{0x0001, "Advanced Error Reporting", kErrors},
                                          {0x0002, "Virtual Channel"},
                                          {0x0003, "Device Serial Number", kSerial},
                                          {0x0004, "Power Budgeting"},
                                          {0x000b, "Vendor Specific"},
                                          {0x000d, "Access Control Services"},
                                          {0x000e, "Alternative Routing-ID"},
                                          {0x000f, "Address Translation Services"},
                                          {0x0010, "Single Root I/O Virtualization"},
                                          {0x0013, "Page Request Interface"},
                                          {0x0015, "Resizable BAR"},
                                          {0x0017, "TPH Requester"},
                                          {0x0018, "Latency Tolerance Reporting"},
                                          {0x0019, "Secondary PCI Express"},
                                          {0x001b, "Process Address Space Id"},
                                          {0x001d, "Downstream Port Containment"},
                                          {0x001e, "L1 PM Substates"},
                                          {0x001f, "Precision Time Measurement"},
                                          {0x0023, "Designated Vendor Specific"},
                                          {0x0025, "Data Link Feature"},
                                          {0x0026, "Physical Layer 16 GT/s"},
                                          {0x0027, "Lane Margining"},
                                          {0x002e, "Data Object Exchange"}};

constexpr std::uint16_t kMsi64bit = 1u << 7;
constexpr std::uint16_t kMsiMasking = 1u << 8;

}  // namespace

const CapabilityLayout* capability_layout(std::uint8_t id, std::uint16_t control) {
    if (id == 0x05 && (control & kMsi64bit) != 0) return (control & kMsiMasking) != 0 ? &kMsiWithBoth : &kMsiWith64;
    if (id == 0x05 && (control & kMsiMasking) != 0) return &kMsiWithMask;
    if (id == 0x10 && (control & 0xf) < 2) return &kOldPcie;
    for (const CapabilityLayout& c : kCapabilities)
        if (c.id == id) return &c;
    return nullptr;
}

const CapabilityLayout* extended_layout(std::uint16_t id) {
    for (const CapabilityLayout& c : kExtended)
        if (c.id == id) return &c;
    return nullptr;
}

std::span<const RegisterLayout> header_layout() {
    return kHeader;
}

}  // namespace farlane::cli
