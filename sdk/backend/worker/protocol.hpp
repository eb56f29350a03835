// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the layout of the memory that an executor shares with the worker process of a context,
// and of the records in its two rings. Owns: nothing. Both sides come from one build: Setup::version tells.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace farlane::backend::worker {

inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::uint32_t kSubmitBytes = 256 * 1024;  ///< a power of two, as the next
inline constexpr std::uint32_t kCompleteBytes = 128 * 1024;
inline constexpr std::uint32_t kMaxSubmitRecord = 8 * 1024;  ///< a launch with 4,032 bytes of arguments
inline constexpr std::uint32_t kMaxCompleteRecord = 32 * 1024;
inline constexpr std::uint32_t kMaxArguments = 255;    ///< of a kernel
inline constexpr std::uint32_t kMaxReasonBytes = 256;  ///< of text
inline constexpr std::uint64_t kUnknownArguments = 1;  ///< of a bound kernel
inline constexpr std::uint64_t kBuildsOn = 1;          ///< for nobody; Say::built follows

// Descriptors the program finds.
inline constexpr int kControlFd = 3;  ///< struct Control
inline constexpr int kMemoryFd = 4;   ///< memory of the context
inline constexpr int kBellFd = 5;     ///< end of a pipe: one byte when Control::bell_armed was 1

enum class Place : std::uint32_t { aperture = 1, local = 2 };  ///< of kernels' memory

/// What the worker needs to know; written before it starts.
struct Setup {
    std::uint32_t version = kVersion;
    std::uint32_t executor = 0;  ///< fl_accel_executor
    Place place = Place::aperture;
    std::uint32_t device = 0;  ///< as --probe counts them
    std::int32_t parent = 0;   ///< pid of the executor's process
    std::uint32_t reserved = 0;
    std::uint64_t aperture_address = 0, aperture_bytes = 0;  ///< the context's range
    std::uint64_t bounce_bytes = 0;  ///< behind it, always committed; kMemoryFd is as long as both
    std::uint64_t local_address = 0, local_bytes = 0;
};

/// A ring of bytes with one writer and one reader. Counts are free-running; byte = count & (size - 1).
struct RingCounts {
    alignas(64) std::atomic<std::uint32_t> tail{0};  ///< bytes written; whole records
    alignas(64) std::atomic<std::uint32_t> head{0};  ///< bytes read
};

/// Shared; all of it may be written by the worker at any time.
struct Control {
    Setup setup;
    RingCounts submit, complete;
    alignas(64) std::atomic<std::uint32_t> worker_sleeps{0};  ///< futex: who writes 0 over 1 wakes it
    alignas(64) std::atomic<std::uint32_t> bell_armed{0};     ///< who writes 0 over 1 rings
    std::atomic<std::uint64_t> energy_uj{0};  ///< that the device has used, when the worker looked last; 0: not known
    alignas(64) std::byte submit_bytes[kSubmitBytes];
    std::byte complete_bytes[kCompleteBytes];
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

/// Ahead of every record.
struct Record {
    std::uint32_t bytes = 0;  ///< with this; a multiple of 8
    std::uint32_t type = 0;   ///< Ask or Say
};
/// Names a job; the executor's, repeated by the worker.
struct Token {
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
};

enum class Ask : std::uint32_t {
    commit = 1,  ///< AskMemory
    decommit,    ///< AskMemory
    load,        ///< AskLoad, options
    unload,      ///< AskUnload; no answer
    bind,        ///< AskBind, name
    launch,      ///< AskLaunch, argument block
    builtin,     ///< AskBuiltin, argument block
    copy,        ///< AskCopy
    fill,        ///< AskFill
    cancel,      ///< AskCancel; no answer of its own
};
struct AskMemory {
    Token token;
    std::uint64_t address = 0, bytes = 0;
};
struct AskLoad {
    Token token;
    std::uint32_t module = 0, kind = 0;
    std::uint64_t image_address = 0, image_bytes = 0;
    std::uint64_t report_address = 0, report_bytes = 0;
    std::uint32_t options_bytes = 0, reserved = 0;
};
struct AskUnload {
    std::uint32_t module = 0, reserved = 0;
};
struct AskBind {
    Token token;
    std::uint32_t module = 0, kernel = 0;
    std::uint32_t name_bytes = 0, reserved = 0;
    std::uint64_t report_address = 0, report_bytes = 0;
};
struct AskLaunch {
    Token token;
    std::uint32_t stream = 0, epoch = 0;  ///< a failure ends what depends on it in the same epoch of the stream
    std::uint32_t kernel = 0, dimensions = 0;
    std::uint32_t grid[3] = {}, block[3] = {}, offset[3] = {};
    std::uint32_t shared_bytes = 0;
    std::uint32_t argument_bytes = 0, reserved = 0;
};
struct AskBuiltin {
    Token token;
    std::uint32_t stream = 0, epoch = 0;
    std::uint32_t kernel = 0, argument_bytes = 0;
};
struct AskCopy {
    Token token;
    std::uint32_t stream = 0, epoch = 0;
    std::uint64_t destination = 0, source = 0, bytes = 0;
};
struct AskFill {
    Token token;
    std::uint32_t stream = 0, epoch = 0;
    std::uint64_t destination = 0, bytes = 0;
    std::byte pattern[16] = {};
    std::uint32_t pattern_bytes = 0, reserved = 0;
};
struct AskCancel {
    Token token;
};

enum class Say : std::uint32_t {
    ready = 1,  ///< SayReady, once, first; when it says that there is none, text that says why
    done,       ///< SayDone; of a bind: fl_accel_kernel_report and its argument reports
    built,      ///< nothing; a load that was answered when it was canceled keeps the builder busy no more
};
struct SayReady {
    std::uint32_t version = kVersion;
    std::uint32_t reason = 0;  ///< fl_accel_reason; not none: it will end
};
struct SayDone {
    Token token;
    std::uint32_t reason = 0, detail = 0;
    std::uint64_t value = 0;    ///< of a bind: kUnknownArguments or 0; of a load: kBuildsOn or 0
    std::uint64_t busy_ns = 0;  ///< of a launch: in the kernel
};

static_assert(sizeof(AskLaunch) % 8 == 0 && sizeof(AskLoad) % 8 == 0 && sizeof(AskFill) % 8 == 0);
static_assert(sizeof(SayDone) % 8 == 0 && std::is_trivially_copyable_v<AskLaunch>);

}  // namespace farlane::backend::worker
