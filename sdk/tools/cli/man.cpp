// SPDX-License-Identifier: Apache-2.0
// Receives: a program's definition. Hands on: its man pages as roff (man(7) macros).
// Owns: nothing.
#include "cli/pages.hpp"

namespace farlane::cli {
namespace {

std::string upper(std::string_view s) {
    std::string out(s);
    for (char& c : out)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return out;
}

/// Text as roff: backslashes and dashes escaped, no line that starts a request.
std::string roff(std::string_view s) {
    std::string out;
    for (std::size_t i = 0; i < s.size(); ++i) {
        const char c = s[i];
        if ((c == '.' || c == '\'') && (i == 0 || s[i - 1] == '\n')) out += "\\&";
        if (c == '\\') {
            out += "\\e";
        } else if (c == '-') {
            out += "\\-";
        } else {
            out += c;
        }
    }
    return out;
}

/// An argument of a macro: quoted, with the quotes inside doubled.
std::string quoted(std::string_view s) {
    std::string out = "\"";
    for (const char c : roff(s)) {
        if (c == '"') out += '"';
        out += c;
    }
    return out + "\"";
}

std::string bold(std::string_view s) {
    return "\\fB" + roff(s) + "\\fR";
}
std::string italic(std::string_view s) {
    return "\\fI" + roff(s) + "\\fR";
}

/// "farlane(1)" -> bold name, plain section.
std::string reference(std::string_view s) {
    const std::size_t open = s.find('(');
    if (open == std::string_view::npos) return bold(s);
    return bold(s.substr(0, open)) + roff(s.substr(open));
}

std::string option_head(const Option& o) {
    std::string out;
    if (o.letter != 0) out = bold(std::string("-") + o.letter) + ", ";
    out += bold(o.name);
    if (!o.value.empty()) out += " " + italic(o.value);
    return out;
}

std::string option_text(const Option& o) {
    std::string out = roff(o.text);
    if (!o.choices.empty()) {
        out += ": ";
        for (std::size_t i = 0; i < o.choices.size(); ++i) out += (i == 0 ? "" : " or ") + bold(o.choices[i]);
    }
    if (!o.standard.empty()) out += " (default: " + roff(o.standard) + ")";
    return out + ".";
}

std::string options_section(const char* title, const std::vector<Option>& options) {
    if (options.empty()) return {};
    std::string out = std::string(".SH ") + quoted(title) + "\n";
    for (const Option& o : options) out += ".TP\n" + option_head(o) + "\n" + option_text(o) + "\n";
    return out;
}

std::string synopsis(const Program& program, const Verb* verb) {
    std::string out = ".SH SYNOPSIS\n" + bold(program.self.name);
    if (!program.self.options.empty()) out += " [" + italic("OPTIONS") + "]";
    if (verb != nullptr) {
        out += " " + bold(verb->name);
    } else if (!program.verbs.empty()) {
        out += " " + italic("COMMAND") + " [" + italic("ARGUMENTS") + "]";
    }
    for (const Option& o : (verb != nullptr ? *verb : program.self).arguments)
        out += " " + (o.required ? italic(o.name) : "[" + italic(o.name) + "]");
    if (verb != nullptr)
        for (const Option& o : verb->options)
            out += " [" + bold(o.name) + (o.value.empty() ? "" : " " + italic(o.value)) + "]";
    return out + "\n";
}

std::string description(const Verb& verb) {
    std::string out = ".SH DESCRIPTION\n";
    for (const std::string_view p : verb.description) out += ".PP\n" + roff(p) + "\n";
    return out;
}

std::string exit_section(const Program& program) {
    if (!program.exit_codes) return {};
    std::string out = ".SH \"EXIT STATUS\"\n";
    for (const ExitCode& e : exit_codes()) out += ".TP\n" + bold(std::to_string(e.code)) + "\n" + roff(e.text) + "\n";
    return out;
}

std::string examples_section(const Verb& verb) {
    if (verb.examples.empty()) return {};
    std::string out = ".SH EXAMPLES\n";
    for (const Example& e : verb.examples) out += ".TP\n" + bold(e.command) + "\n" + roff(e.text) + "\n";
    return out;
}

std::string see_also(const std::vector<std::string>& names) {
    if (names.empty()) return {};
    std::string out = ".SH \"SEE ALSO\"\n";
    for (std::size_t i = 0; i < names.size(); ++i) out += reference(names[i]) + (i + 1 < names.size() ? ",\n" : "\n");
    return out;
}

std::string page_name(const Program& program, const Verb* verb) {
    std::string name(program.self.name);
    if (verb != nullptr) name += "-" + std::string(verb->name);
    return name;
}

std::string head(const Program& program, const Verb* verb) {
    const std::string name = page_name(program, verb);
    const std::string section = std::to_string(program.section);
    const Verb& v = verb != nullptr ? *verb : program.self;
    return ".\\\" SPDX-License-Identifier: Apache-2.0\n.TH " + quoted(upper(name)) + " " + section +
           " \"\" \"Farlane " FARLANE_VERSION "\" \"Farlane manual\"\n.SH NAME\n" + roff(name) + " \\- " +
           roff(v.summary) + "\n";
}

std::string program_page(const Program& program) {
    std::string out = head(program, nullptr) + synopsis(program, nullptr) + description(program.self);
    if (!program.verbs.empty()) {
        out += ".SH COMMANDS\n";
        for (const Verb& v : program.verbs)
            out += ".TP\n" + reference(page_name(program, &v) + "(" + std::to_string(program.section) + ")") + "\n" +
                   roff(v.summary) + "\n";
    }
    out += options_section("ARGUMENTS", program.self.arguments) + options_section("OPTIONS", program.self.options) +
           exit_section(program);
    for (const Paragraphs& p : program.sections) {
        out += ".SH " + quoted(p.title) + "\n";
        for (const std::string_view t : p.text) out += ".PP\n" + roff(t) + "\n";
    }
    out += examples_section(program.self);
    return out + see_also({program.see_also.begin(), program.see_also.end()});
}

std::string verb_page(const Program& program, const Verb& verb) {
    const std::string parent(program.self.name);
    const std::string section = "(" + std::to_string(program.section) + ")";
    std::vector<std::string> others{parent + section};
    for (const std::string_view s : program.see_also) others.emplace_back(s);
    return head(program, &verb) + synopsis(program, &verb) + description(verb) +
           options_section("ARGUMENTS", verb.arguments) + options_section("OPTIONS", verb.options) +
           options_section("GLOBAL OPTIONS", program.self.options) + exit_section(program) + examples_section(verb) +
           see_also(others);
}

}  // namespace

std::vector<Page> man_pages(const Program& program) {
    const std::string suffix = "." + std::to_string(program.section);
    std::vector<Page> pages{{std::string(program.self.name) + suffix, program_page(program)}};
    for (const Verb& v : program.verbs) pages.emplace_back(page_name(program, &v) + suffix, verb_page(program, v));
    return pages;
}

}  // namespace farlane::cli
