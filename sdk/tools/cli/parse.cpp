// SPDX-License-Identifier: Apache-2.0
// Receives: a program's definition and argv. Hands on: verb, options and arguments as text.
// Owns: nothing.
#include "cli/parse.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>
#include <sstream>

#include <farlane/status.hpp>

namespace farlane::cli {
namespace {

bool asks_json(int argc, const char* const* argv) {
    for (int i = 1; i < argc; ++i) {
        const std::string_view a = argv[i];
        if (a == "-ojson" || a == "--output=json" || a == "-o=json") return true;
        if ((a == "-o" || a == "--output") && i + 1 < argc && std::string_view(argv[i + 1]) == "json") return true;
    }
    return false;
}

}  // namespace

/// Builds the CLI11 parser of a definition; every value lands in `values`.
struct Parser {
    std::map<std::string, std::string, std::less<>>& values;

    void add(CLI::App& app, const Option& o, bool positional) const {
        const std::string key(o.name);
        std::string names = key;
        if (o.letter != 0) names = std::string("-") + o.letter + "," + key;
        std::string text(o.text);
        if (o.value.empty() && !positional) {
            app.add_flag_callback(
                names, [&all = values, key] { all[key] = "yes"; }, text);
            return;
        }
        auto* added = app.add_option_function<std::string>(
            names, [&all = values, key](const std::string& v) { all[key] = v; }, text);
        if (o.required) added->required();
        if (!o.choices.empty()) {
            std::vector<std::string> choices(o.choices.begin(), o.choices.end());
            added->check(CLI::IsMember(choices));
        }
        if (!positional) added->type_name(std::string(o.value));
        if (positional) added->type_name("");
        if (!o.standard.empty()) added->default_str(std::string(o.standard));
    }

    void fill(CLI::App& app, const Verb& verb) const {
        for (const Option& o : verb.arguments) add(app, o, true);
        for (const Option& o : verb.options) add(app, o, false);
    }

    static Arguments take(std::string verb, std::map<std::string, std::string, std::less<>> values) {
        Arguments a;
        a.verb_ = std::move(verb);
        a.values_ = std::move(values);
        return a;
    }
};

namespace {

void add_defaults(const Program& program, const std::string& verb,
                  std::map<std::string, std::string, std::less<>>& values) {
    const auto add = [&](const std::vector<Option>& options) {
        for (const Option& o : options)
            if (!o.standard.empty()) values.emplace(std::string(o.name), std::string(o.standard));
    };
    for (const Verb& v : program.verbs)
        if (v.name == verb) add(v.options);
    add(program.self.options);
}

std::string verb_names(const Program& program) {
    std::string out;
    for (const Verb& v : program.verbs) out += (out.empty() ? "" : ", ") + std::string(v.name);
    return out;
}

/// The footer of --help: exit codes and where to read on.
std::string footer(const Program& program) {
    std::string text;
    if (program.exit_codes) {
        text += "Exit codes:\n";
        for (const ExitCode& e : exit_codes())
            text += "  " + std::to_string(e.code) + "  " + std::string(e.text) + "\n";
    }
    if (!program.help_end.empty()) return text + std::string(program.help_end);
    text += "Manual: man " + std::to_string(program.section) + " " + std::string(program.self.name);
    return text;
}

}  // namespace

Parsed parse(const Program& program, int argc, const char* const* argv) {
    std::map<std::string, std::string, std::less<>> values;
    const Parser parser{values};
    const std::string name(program.self.name);
    CLI::App app(name + ": " + std::string(program.self.summary), name);
    app.footer(footer(program));
    app.set_version_flag("--version", name + " " FARLANE_VERSION);
    parser.fill(app, program.self);
    for (const Verb& verb : program.verbs) {
        CLI::App* sub = app.add_subcommand(std::string(verb.name), std::string(verb.summary));
        sub->fallthrough();
        parser.fill(*sub, verb);
    }
    if (!program.verbs.empty()) app.require_subcommand(1);

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        std::ostringstream out, err;
        const bool fine = app.exit(e, out, err) == 0;
        if (fine) return {.arguments = {}, .text = out.str(), .exit_code = 0};
        std::string text = e.what();
        const auto rest = app.remaining();
        if (!program.verbs.empty() && app.get_subcommands().empty() && !rest.empty() && !rest.front().starts_with("-"))
            text = "unknown command '" + rest.front() + "'; there are: " + verb_names(program);
        return {.arguments = {},
                .text = text + " (see " + name + " --help)",
                .exit_code = status_exit_code(Status::invalid),
                .json = asks_json(argc, argv)};
    }
    std::string verb;
    for (const CLI::App* sub : app.get_subcommands()) verb = sub->get_name();
    add_defaults(program, verb, values);
    return {.arguments = Parser::take(verb, std::move(values)), .text = {}};
}

std::string Arguments::get(std::string_view name) const {
    const auto it = values_.find(name);
    return it == values_.end() ? std::string() : it->second;
}

double Arguments::number(std::string_view name, double low, double high) const {
    const std::string text = get(name);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    // The negated form also refuses a NaN.
    if (error != std::errc() || end != text.data() + text.size() || !(value >= low && value <= high)) {
        std::ostringstream what;
        what << name << ": '" << text << "' is not a number from " << low << " to " << high;
        throw Error(Status::invalid, what.str());
    }
    return value;
}

}  // namespace farlane::cli
