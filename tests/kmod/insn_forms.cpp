// SPDX-License-Identifier: Apache-2.0
// Random instances: prefixes, REX, every kind of address, registers; the operand is put within the arena last.
#include "kmod/insn_forms.hpp"

#include <algorithm>
#include <memory>
#include <string>

namespace farlane::kmod {

namespace {

constexpr std::uint64_t kAf = FL_FLAG_AF;
constexpr std::uint64_t kBit = FL_FLAG_OF | FL_FLAG_SF | FL_FLAG_AF | FL_FLAG_PF;
constexpr std::uint64_t kAllFlags =
    FL_FLAG_CF | FL_FLAG_PF | FL_FLAG_AF | FL_FLAG_ZF | FL_FLAG_SF | FL_FLAG_DF | FL_FLAG_OF;
constexpr std::uint64_t kMargin = 512;  // around the operand, for bit numbers and widths

const char* keep(std::string text) {
    static std::vector<std::unique_ptr<std::string>> names;
    names.push_back(std::make_unique<std::string>(std::move(text)));
    return names.back()->c_str();
}

void add_arithmetic(std::vector<Form>& all) {
    static const char* const names[] = {"add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"};
    for (unsigned i = 0; i < 8; ++i) {
        const std::uint64_t undefined = i == 1 || i == 4 || i == 6 ? kAf : 0;
        const bool lockable = i != 7;
        const std::string name = names[i];
        const auto op = static_cast<std::uint8_t>(i << 3);
        const auto form = [&](const char* kind, std::uint8_t low, bool byte, bool lock) {
            all.push_back({.name = keep(name + kind),
                           .opcode = {static_cast<std::uint8_t>(op | low)},
                           .byte = byte,
                           .lockable = lock,
                           .undefined = undefined});
        };
        form(" mb,rb", 0, true, lockable);
        form(" m,r", 1, false, lockable);
        form(" rb,mb", 2, true, false);
        form(" r,m", 3, false, false);
        const auto immediate = [&](const char* kind, std::uint8_t opcode, unsigned bytes, bool byte) {
            all.push_back({.name = keep(name + kind),
                           .opcode = {opcode},
                           .group = static_cast<int>(i),
                           .immediate = bytes,
                           .byte = byte,
                           .lockable = lockable,
                           .undefined = undefined});
        };
        immediate(" mb,i8", 0x80, 1, true);
        immediate(" m,i", 0x81, 9, false);
        immediate(" m,i8", 0x83, 1, false);
    }
}

void add_unary(std::vector<Form>& all) {
    static const struct {
        const char* name;
        std::uint8_t opcode;
        int group;
        bool byte;
    } rows[] = {{"not mb", 0xf6, 2, true}, {"not m", 0xf7, 2, false}, {"neg mb", 0xf6, 3, true},
                {"neg m", 0xf7, 3, false}, {"inc mb", 0xfe, 0, true}, {"inc m", 0xff, 0, false},
                {"dec mb", 0xfe, 1, true}, {"dec m", 0xff, 1, false}};
    for (const auto& row : rows)
        all.push_back(
            {.name = row.name, .opcode = {row.opcode}, .group = row.group, .byte = row.byte, .lockable = true});
}

void add_bits(std::vector<Form>& all) {
    static const char* const names[] = {"bt", "bts", "btr", "btc"};
    for (unsigned i = 0; i < 4; ++i) {
        const std::string name = names[i];
        all.push_back({.name = keep(name + " m,r"),
                       .opcode = {0x0f, static_cast<std::uint8_t>(0xa3 + 8 * i)},
                       .lockable = i != 0,
                       .bit_register = true,
                       .undefined = kBit});
        all.push_back({.name = keep(name + " m,i8"),
                       .opcode = {0x0f, 0xba},
                       .group = static_cast<int>(4 + i),
                       .immediate = 1,
                       .lockable = i != 0,
                       .undefined = kBit});
    }
}

void add_conditional(std::vector<Form>& all) {
    for (unsigned i = 0; i < 16; ++i) {
        all.push_back(
            {.name = keep("cmov" + std::to_string(i)), .opcode = {0x0f, static_cast<std::uint8_t>(0x40 + i)}});
        all.push_back({.name = keep("set" + std::to_string(i)),
                       .opcode = {0x0f, static_cast<std::uint8_t>(0x90 + i)},
                       .byte = true});
    }
}

void add_moves(std::vector<Form>& all) {
    all.insert(all.end(), {{.name = "mov mb,rb", .opcode = {0x88}, .byte = true},
                           {.name = "mov m,r", .opcode = {0x89}},
                           {.name = "mov rb,mb", .opcode = {0x8a}, .byte = true},
                           {.name = "mov r,m", .opcode = {0x8b}},
                           {.name = "mov mb,i8", .opcode = {0xc6}, .group = 0, .immediate = 1, .byte = true},
                           {.name = "mov m,i", .opcode = {0xc7}, .group = 0, .immediate = 9},
                           {.name = "mov al,[abs]", .opcode = {0xa0}, .byte = true, .absolute = true},
                           {.name = "mov rax,[abs]", .opcode = {0xa1}, .absolute = true},
                           {.name = "mov [abs],al", .opcode = {0xa2}, .byte = true, .absolute = true},
                           {.name = "mov [abs],rax", .opcode = {0xa3}, .absolute = true},
                           {.name = "movzx r,mb", .opcode = {0x0f, 0xb6}},
                           {.name = "movzx r,mw", .opcode = {0x0f, 0xb7}},
                           {.name = "movsx r,mb", .opcode = {0x0f, 0xbe}},
                           {.name = "movsx r,mw", .opcode = {0x0f, 0xbf}},
                           {.name = "movsxd r,md", .opcode = {0x63}},
                           {.name = "movnti m,r", .opcode = {0x0f, 0xc3}, .only_long = true}});
}

void add_others(std::vector<Form>& all) {
    all.insert(all.end(),
               {{.name = "test mb,rb", .opcode = {0x84}, .byte = true, .undefined = kAf},
                {.name = "test m,r", .opcode = {0x85}, .undefined = kAf},
                {.name = "test mb,i8", .opcode = {0xf6}, .group = 0, .immediate = 1, .byte = true, .undefined = kAf},
                {.name = "test m,i", .opcode = {0xf7}, .group = 0, .immediate = 9, .undefined = kAf},
                {.name = "xchg mb,rb", .opcode = {0x86}, .byte = true, .lockable = true},
                {.name = "xchg m,r", .opcode = {0x87}, .lockable = true},
                {.name = "xadd mb,rb", .opcode = {0x0f, 0xc0}, .byte = true, .lockable = true},
                {.name = "xadd m,r", .opcode = {0x0f, 0xc1}, .lockable = true},
                {.name = "cmpxchg mb,rb", .opcode = {0x0f, 0xb0}, .byte = true, .lockable = true},
                {.name = "cmpxchg m,r", .opcode = {0x0f, 0xb1}, .lockable = true},
                {.name = "movsb", .opcode = {0xa4}, .byte = true, .string = true},
                {.name = "movs", .opcode = {0xa5}, .string = true},
                {.name = "cmpsb", .opcode = {0xa6}, .byte = true, .string = true},
                {.name = "cmps", .opcode = {0xa7}, .string = true},
                {.name = "stosb", .opcode = {0xaa}, .byte = true, .string = true},
                {.name = "stos", .opcode = {0xab}, .string = true},
                {.name = "lodsb", .opcode = {0xac}, .byte = true, .string = true},
                {.name = "lods", .opcode = {0xad}, .string = true},
                {.name = "scasb", .opcode = {0xae}, .byte = true, .string = true},
                {.name = "scas", .opcode = {0xaf}, .string = true}});
}

/// One instance in the making.
class Maker {
public:
    Maker(const Form& form, std::span<const std::uint8_t> arena, std::uint64_t ip, Random& random)
        : form_(form), arena_(arena), random_(random) {
        for (auto& reg : out_.cpu.gpr) reg = odd_number();
        out_.cpu.flags = random_() & kAllFlags;
        out_.cpu.ip = ip;
    }
    Instance make() {
        choose_prefixes();
        if (form_.string)
            string_registers();
        else if (form_.absolute)
            append(target(), 8);
        else
            memory_operand();
        return std::move(out_);
    }

private:
    std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
    bool chance(unsigned one_in) { return below(one_in) == 0; }
    /// Small, large and border values; equal ones often enough.
    std::uint64_t odd_number() {
        static constexpr std::uint64_t borders[] = {0,
                                                    1,
                                                    0x7f,
                                                    0x80,
                                                    0xff,
                                                    0x7fff,
                                                    0x8000,
                                                    0xffff,
                                                    0x7fffffff,
                                                    0x80000000,
                                                    0xffffffff,
                                                    0x7fffffffffffffff,
                                                    0x8000000000000000,
                                                    ~std::uint64_t{0}};
        return chance(3) ? borders[below(std::size(borders))] : random_() >> below(64);
    }
    void append(std::uint64_t value, unsigned bytes) {
        for (unsigned i = 0; i < bytes; ++i) out_.bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
    }
    std::uint64_t start() const { return reinterpret_cast<std::uint64_t>(arena_.data()); }
    /// Where the operand shall lie. A locked one is aligned: some machines refuse others.
    std::uint64_t target() {
        const std::uint64_t offset = kMargin + below(arena_.size() - 2 * kMargin);
        return start() + (form_.lockable ? offset & ~std::uint64_t{7} : offset);
    }

    void choose_prefixes() {
        const bool narrow = !form_.byte && !form_.only_long && chance(3);
        if (chance(8)) out_.bytes.push_back(0x3e);  // no effect
        if (narrow) out_.bytes.push_back(0x66);
        if (form_.lockable && chance(2)) out_.bytes.push_back(0xf0);
        if (form_.string && !chance(3)) out_.bytes.push_back(chance(2) ? 0xf3 : 0xf2);
        rex_ = chance(3) ? 0 : static_cast<std::uint8_t>(0x40 | below(16));
        // B, X and R choose registers; the opcode follows when they are known.
        wide_ = (rex_ & 8) != 0;
        narrow_ = narrow && !wide_;
        if (form_.string || form_.absolute) put_opcode();
    }
    void put_opcode() {
        if (rex_ != 0) out_.bytes.push_back(rex_);
        out_.bytes.insert(out_.bytes.end(), form_.opcode.begin(), form_.opcode.end());
    }

    void string_registers() {
        const bool down = (out_.cpu.flags & FL_FLAG_DF) != 0;
        const std::uint64_t reach = arena_.size() - 2 * kMargin;
        const std::uint64_t count = chance(6) ? below(reach / 8) : below(24);
        out_.cpu.gpr[FL_RCX] = count;
        const auto place = [&] {
            const std::uint64_t room = reach - 8 * count;
            const std::uint64_t offset = kMargin + below(chance(2) ? std::min<std::uint64_t>(room, 64) : room);
            return start() + (down ? arena_.size() - offset - 8 : offset);
        };
        out_.cpu.gpr[FL_RSI] = place();
        out_.cpu.gpr[FL_RDI] = place();
    }

    unsigned bit(std::uint8_t which) const { return (rex_ & which) != 0 ? 8 : 0; }

    void memory_operand() {
        put_opcode();
        unsigned reg = form_.group >= 0 ? static_cast<unsigned>(form_.group) : static_cast<unsigned>(below(8));
        const unsigned mod = static_cast<unsigned>(below(3));
        const unsigned rm = static_cast<unsigned>(below(8));
        const std::size_t modrm_at = out_.bytes.size();
        out_.bytes.push_back(0);
        unsigned base = FL_NO_REGISTER, index = FL_NO_REGISTER, scale = 0;
        unsigned displacement_bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;
        bool relative = false;
        if (rm == 4) {
            const unsigned sib = static_cast<unsigned>(below(256));
            scale = sib >> 6;
            if ((((sib >> 3) & 7) | bit(2)) != FL_RSP) index = ((sib >> 3) & 7) | bit(2);
            if ((sib & 7) == 5 && mod == 0)
                displacement_bytes = 4;
            else
                base = (sib & 7) | bit(1);
            out_.bytes.push_back(static_cast<std::uint8_t>(sib));
        } else if (rm == 5 && mod == 0) {
            relative = true;
            displacement_bytes = 4;
        } else {
            base = rm | bit(1);
        }
        if (form_.bit_register) reg = free_register(reg, base, index);
        out_.bytes[modrm_at] = static_cast<std::uint8_t>(mod << 6 | reg << 3 | rm);
        place_operand(base, index, scale, displacement_bytes, relative);
        if (form_.bit_register) out_.cpu.gpr[reg | bit(4)] = bit_number();
    }
    unsigned free_register(unsigned reg, unsigned base, unsigned index) const {
        while ((reg | bit(4)) == base || (reg | bit(4)) == index) reg = (reg + 1) & 7;
        return reg;
    }
    /// Within the margin, with whatever in the bits that do not count.
    std::uint64_t bit_number() {
        const auto number = static_cast<std::int64_t>(below(4000)) - 2000;
        if (wide_) return static_cast<std::uint64_t>(number);
        const std::uint64_t mask = narrow_ ? 0xffff : 0xffffffff;
        return (static_cast<std::uint64_t>(number) & mask) | (random_() & ~mask);
    }

    unsigned immediate_bytes() const {
        if (form_.immediate != 9) return form_.immediate;
        return narrow_ ? 2 : 4;
    }
    /// Chooses register values and displacement so that the operand lies at target().
    void place_operand(unsigned base, unsigned index, unsigned scale, unsigned displacement_bytes, bool relative) {
        const std::uint64_t at = target();
        std::int64_t displacement = 0;
        if (displacement_bytes == 1) displacement = static_cast<std::int8_t>(random_());
        if (displacement_bytes == 4) displacement = static_cast<std::int32_t>(random_());
        if (relative) {
            const std::uint64_t next = out_.cpu.ip + out_.bytes.size() + 4 + immediate_bytes();
            displacement = static_cast<std::int64_t>(at - next);
        } else if (base == FL_NO_REGISTER && index == FL_NO_REGISTER) {
            swap_for_base(at);
            return;
        } else {
            place_registers(at, base, index, scale, displacement);
        }
        append(static_cast<std::uint64_t>(displacement), displacement_bytes);
        append(random_(), immediate_bytes());
    }
    void place_registers(std::uint64_t at, unsigned base, unsigned index, unsigned scale, std::int64_t& displacement) {
        auto& gpr = out_.cpu.gpr;
        const std::uint64_t rest = at - static_cast<std::uint64_t>(displacement);
        if (base == index) {  // base + base << scale: somewhat lower, where the division leaves nothing
            const std::uint64_t times = 1 + (std::uint64_t{1} << scale);
            gpr[base] = rest_of(at, times) / times;
            displacement = 0;
        } else if (base == FL_NO_REGISTER) {
            gpr[index] = at >> scale;
            displacement = static_cast<std::int64_t>(at & ((1U << scale) - 1));
        } else {
            const std::uint64_t offset = index == FL_NO_REGISTER ? 0 : gpr[index] << scale;
            gpr[base] = rest - offset;
        }
    }
    static std::uint64_t rest_of(std::uint64_t at, std::uint64_t times) { return at - at % (8 * times); }
    /// An absolute 32-bit address can't reach the arena: the SIB byte gets a base after all.
    void swap_for_base(std::uint64_t at) {
        const std::size_t sib = out_.bytes.size() - 1;
        out_.bytes[sib] = static_cast<std::uint8_t>((out_.bytes[sib] & ~7U) | FL_RDX);
        out_.cpu.gpr[FL_RDX | bit(1)] = at;
        append(random_(), immediate_bytes());
    }

    const Form& form_;
    std::span<const std::uint8_t> arena_;
    Random& random_;
    Instance out_;
    std::uint8_t rex_ = 0;
    bool wide_ = false, narrow_ = false;
};

}  // namespace

std::span<const Form> forms() {
    static const std::vector<Form> all = [] {
        std::vector<Form> made;
        add_arithmetic(made);
        add_unary(made);
        add_bits(made);
        add_conditional(made);
        add_moves(made);
        add_others(made);
        return made;
    }();
    return all;
}

Instance make_instance(const Form& form, std::span<const std::uint8_t> arena, std::uint64_t ip, Random& random) {
    return Maker(form, arena, ip, random).make();
}

}  // namespace farlane::kmod
