// SPDX-License-Identifier: Apache-2.0
// Receives: the tables of docs/*.md. Hands on: whether they say what the headers say, and
// whether everything the headers declare has its row. Owns: nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>

#include <farlane/status.hpp>

#include "contract/reflection.hpp"
#include "proto/counters.hpp"

namespace farlane::test {
namespace {

using Row = std::vector<std::string>;

struct Table {
    std::string document, heading;  // the heading above it
    unsigned line = 0;
    Row columns;
    std::vector<Row> rows;
    [[nodiscard]] std::string where() const { return document + ":" + std::to_string(line); }
};

// Cells of a markdown table row, without blanks and backticks around them.
Row cells_of(const std::string& line) {
    Row cells;
    for (std::size_t at = 1; at < line.size();) {
        const std::size_t bar = std::min(line.find('|', at), line.size());
        std::string cell = line.substr(at, bar - at);
        cell.erase(0, cell.find_first_not_of(" `"));
        cell.erase(cell.find_last_not_of(" `") + 1);
        cells.push_back(cell);
        at = bar + 1;
    }
    return cells;
}

void read_tables(const std::filesystem::path& path, std::vector<Table>& out) {
    std::ifstream in(path);
    std::string line, heading;
    unsigned number = 0;
    bool inside = false;
    while (std::getline(in, line)) {
        ++number;
        if (line.starts_with('#')) heading = line;
        if (!line.starts_with('|')) {
            inside = false;
        } else if (!inside) {
            out.push_back({path.filename().string(), heading, number, cells_of(line), {}});
            inside = true;
        } else if (line.find_first_not_of("|-: ") != std::string::npos) {
            out.back().rows.push_back(cells_of(line));
        }
    }
}

const std::vector<Table>& tables() {
    static const std::vector<Table> all = [] {
        std::vector<Table> found;
        std::vector<std::filesystem::path> paths;
        for (const auto& entry : std::filesystem::directory_iterator(FARLANE_DOCS_DIR))
            if (entry.path().extension() == ".md") paths.push_back(entry.path());
        std::sort(paths.begin(), paths.end());
        for (const auto& path : paths) read_tables(path, found);
        return found;
    }();
    return all;
}

std::vector<const Table*> tables_with(const Row& first_columns) {
    std::vector<const Table*> out;
    for (const Table& t : tables())
        if (t.columns.size() >= first_columns.size() &&
            std::equal(first_columns.begin(), first_columns.end(), t.columns.begin()))
            out.push_back(&t);
    return out;
}

const StructInfo* struct_named(const std::string& name) {
    const auto& all = contract_structs();
    const auto found = std::find_if(all.begin(), all.end(), [&](const StructInfo& s) { return s.name == name; });
    return found == all.end() ? nullptr : &*found;
}

// Every table `| offset | size | field | ... |` stands under a heading that names its struct.
void check_struct_table(const Table& table, std::set<std::string>& seen) {
    SCOPED_TRACE(table.where());
    std::smatch match;
    ASSERT_TRUE(std::regex_search(table.heading, match, std::regex("`struct (\\w+)`"))) << table.heading;
    const StructInfo* s = struct_named(match[1]);
    ASSERT_NE(s, nullptr) << "no header declares struct " << match[1];
    seen.insert(s->name);
    std::smatch size;
    if (std::regex_search(table.heading, size, std::regex("(\\d+) bytes")))
        EXPECT_EQ(std::stoul(size[1]), s->bytes) << "size in the heading of " << s->name;
    else
        ADD_FAILURE() << "the heading of " << s->name << " does not say its size in bytes";
    ASSERT_EQ(table.rows.size(), s->fields.size()) << s->name << ": one row per field";
    for (std::size_t i = 0; i < table.rows.size(); ++i) {
        const Row& row = table.rows[i];
        const FieldInfo& field = s->fields[i];
        ASSERT_GE(row.size(), 3u);
        EXPECT_EQ(row[2], field.name);
        EXPECT_EQ(row[0], std::to_string(field.offset)) << s->name << "." << field.name;
        EXPECT_EQ(row[1], std::to_string(field.bytes)) << s->name << "." << field.name;
    }
}

// What a header declares is documented in docs/wire.md; the accelerator's in its own document,
// which is checked as soon as it is there.
bool must_be_documented(const std::string& header) {
    return header != "accel.h" || std::filesystem::exists(FARLANE_DOCS_DIR "/accelerator.md");
}

TEST(Documents, StructTablesMatchTheHeaders) {
    std::set<std::string> seen;
    for (const Table* table : tables_with({"offset", "size", "field"})) check_struct_table(*table, seen);
    for (const StructInfo& s : contract_structs())
        EXPECT_TRUE(seen.contains(s.name) || !must_be_documented(s.header))
            << "struct " << s.name << " of " << s.header << " has no table in docs/*.md";
}

TEST(Documents, ReflectionSeesTheHeaders) {
    const StructInfo* tlp = struct_named("fl_tlp");
    ASSERT_NE(tlp, nullptr);
    EXPECT_EQ(tlp->fields.size(), 16u);
    const StructInfo* slot = struct_named("fl_slot");
    ASSERT_NE(slot, nullptr);
    EXPECT_EQ(slot->fields.back().name, "u");
    EXPECT_EQ(slot->fields.back().bytes, 64u);
    for (const StructInfo& s : contract_structs()) {
        std::size_t at = 0;  // no holes: every byte of a struct belongs to a field
        for (const FieldInfo& f : s.fields) {
            EXPECT_EQ(f.offset, at) << "hole before " << s.name << "." << f.name;
            at = f.offset + f.bytes;
        }
        EXPECT_EQ(at, s.bytes) << "hole at the end of " << s.name;
    }
}

// `| value | name | ... |`: enumerators and macros.
TEST(Documents, ConstantTablesMatchTheHeaders) {
    std::map<std::string, const ConstantInfo*> known;
    for (const ConstantInfo& c : contract_constants()) known[c.name] = &c;
    std::set<std::string> seen;
    for (const Table* table : tables_with({"value", "name"})) {
        for (const Row& row : table->rows) {
            ASSERT_GE(row.size(), 2u) << table->where();
            if (!row[1].starts_with("FL_")) continue;
            const auto found = known.find(row[1]);
            ASSERT_NE(found, known.end()) << table->where() << ": no header declares " << row[1];
            EXPECT_EQ(std::stoull(row[0], nullptr, 0), found->second->value) << table->where() << ": " << row[1];
            seen.insert(row[1]);
        }
    }
    for (const auto& [name, info] : known)
        EXPECT_TRUE(seen.contains(name) || !must_be_documented(info->header))
            << name << " of " << info->header << " has no row in docs/*.md";
}

TEST(Documents, StatusTableMatchesTheHeader) {
    const auto found = tables_with({"code", "name", "errno", "exit", "text"});
    ASSERT_EQ(found.size(), 1u);
    std::vector<Row> expected;
#define ROW(NAME, name, code, err, exit_code, text) \
    expected.push_back({std::to_string(code), #name, #err, std::to_string(exit_code), text});
    FL_STATUS_TABLE(ROW)
#undef ROW
    ASSERT_EQ(found[0]->rows.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
        // errno names have become numbers in the macro.
        Row row = found[0]->rows[i];
        ASSERT_EQ(row.size(), 5u);
        EXPECT_EQ(row[0], expected[i][0]);
        EXPECT_EQ(row[1], expected[i][1]);
        EXPECT_EQ(row[3], expected[i][3]);
        EXPECT_EQ(row[4], expected[i][4]);
    }
}

TEST(Documents, ErrnoNamesMatchTheHeader) {
    const std::map<std::string, int> names = {
#define NAMED(e) {#e, e}
        {"0", 0},      NAMED(EREMOTEIO),   NAMED(EAGAIN),          NAMED(ECONNABORTED), NAMED(ENOENT),
        NAMED(EBUSY),  NAMED(EACCES),      NAMED(ETIMEDOUT),       NAMED(EHOSTUNREACH), NAMED(EBADMSG),
        NAMED(EINVAL), NAMED(EPROTO),      NAMED(EPROTONOSUPPORT), NAMED(ENOSPC),       NAMED(ENOMEM),
        NAMED(ERANGE), NAMED(ENODEV),      NAMED(ECONNRESET),      NAMED(ESTALE),       NAMED(EOPNOTSUPP),
        NAMED(EIO),    NAMED(EWOULDBLOCK), NAMED(EINPROGRESS),     NAMED(ECANCELED),    NAMED(EILSEQ),
#undef NAMED
    };
    for (const Table* table : tables_with({"code", "name", "errno", "exit", "text"})) {
        for (const Row& row : table->rows) {
            ASSERT_TRUE(names.contains(row[2])) << row[2];
            const auto status = status_from_code(static_cast<unsigned>(std::stoul(row[0])));
            EXPECT_EQ(names.at(row[2]), status_errno(status)) << row[1];
        }
    }
}

TEST(Documents, DropReasonsMatchTheSource) {
    const auto found = tables_with({"reason", "meaning"});
    ASSERT_EQ(found.size(), 1u);
    ASSERT_EQ(found[0]->rows.size(), proto::kDrops);
    for (unsigned i = 0; i < proto::kDrops; ++i) {
        EXPECT_EQ(found[0]->rows[i][0], proto::drop_name(static_cast<proto::Drop>(i)));
        EXPECT_EQ(found[0]->rows[i][1], proto::drop_text(static_cast<proto::Drop>(i)));
    }
}

}  // namespace
}  // namespace farlane::test
