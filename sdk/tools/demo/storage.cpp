// SPDX-License-Identifier: Apache-2.0
// Receives: bytes. Hands on: the same bytes, after a stay on the remote NVMe.
// Owns: the controller while it works. What stood in the blocks it uses is put back.
#include <algorithm>
#include <cstring>

#include "demo/steps.hpp"
#include "nvme_user/controller.hpp"
#include "nvme_user/nvme_over_sdk.hpp"

namespace farlane::demo {
namespace {

constexpr std::size_t kPart = std::size_t{1} << 20;

/// The first blocks of a namespace, a part at a time.
class Blocks {
public:
    Blocks(nvme_user::Controller& controller, std::size_t bytes, Report& report)
        : controller_(controller), report_(report), block_(controller.space().block_bytes) {
        bytes_ = (bytes + block_ - 1) / block_ * block_;
        part_ = kPart / block_ * block_;
        memory_ = controller.allocate(std::max<std::size_t>(std::min(bytes_, part_), block_));
    }
    [[nodiscard]] std::size_t size_bytes() const noexcept { return bytes_; }

    std::vector<std::byte> read(const char* what) {
        std::vector<std::byte> data(bytes_);
        each_part(what, [&](std::size_t at, std::size_t n) {
            std::fill_n(memory_.bytes.begin(), n, std::byte{0xa5});  // nobody's data if the device writes nothing
            controller_.read(at / block_, memory_, 0, n);
            std::memcpy(data.data() + at, memory_.bytes.data(), n);
        });
        return data;
    }
    void write(const char* what, std::span<const std::byte> data) {
        each_part(what, [&](std::size_t at, std::size_t n) {
            std::memcpy(memory_.bytes.data(), data.data() + at, n);
            controller_.write(at / block_, memory_, 0, n);
        });
        controller_.flush();
    }

private:
    template <class F>
    void each_part(const char* what, F&& work) {
        for (std::size_t at = 0; at < bytes_; at += part_) {
            const std::size_t n = std::min(part_, bytes_ - at);
            work(at, n);
            report_.progress(what, static_cast<double>(at + n) / static_cast<double>(bytes_));
        }
    }
    nvme_user::Controller& controller_;
    Report& report_;
    std::size_t block_, bytes_ = 0, part_ = 0;
    nvme_user::Memory memory_;
};

}  // namespace

void store_file(Device& nvme, std::span<const std::byte> data, const std::string& name, Report& report) {
    nvme_user::SdkAccess access(nvme);
    nvme_user::Controller controller(access, {});
    if (data.empty()) throw Error(Status::invalid, name + " is empty: nothing to write to the NVMe");
    if (data.size() > controller.space().bytes()) {
        throw Error(Status::limit, name + " has " + std::to_string(data.size()) + " bytes, the NVMe has " +
                                       std::to_string(controller.space().bytes()) + "; use a smaller one (--file)");
    }
    Blocks blocks(controller, data.size(), report);
    const auto before = blocks.read("reading what is there");
    std::vector<std::byte> padded(data.begin(), data.end());
    padded.resize(blocks.size_bytes());
    const Stopwatch write_time;
    blocks.write("writing to the NVMe", padded);
    const double write_seconds = write_time.seconds();
    const Stopwatch read_time;
    const auto after = blocks.read("reading from the NVMe");
    const double read_seconds = read_time.seconds();
    blocks.write("putting back what was there", before);
    if (after != padded) throw Error(Status::compare, name + ": what the NVMe gave back differs from what was written");
    const auto bytes = static_cast<double>(padded.size());
    report.result("file         " + size_text(data.size()) + " written to the NVMe (" +
                      rate_text(bytes / write_seconds) + ") and read back (" + rate_text(bytes / read_seconds) +
                      "); equal: " + name,
                  "storage",
                  {{"file", name},
                   {"bytes", data.size()},
                   {"write_seconds", write_seconds},
                   {"read_seconds", read_seconds},
                   {"equal", true}});
}

}  // namespace farlane::demo
