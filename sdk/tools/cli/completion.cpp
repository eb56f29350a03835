// SPDX-License-Identifier: Apache-2.0
// Receives: definitions of programs. Hands on: one bash completion script for all of them.
// Owns: nothing.
#include "cli/pages.hpp"

namespace farlane::cli {
namespace {

// Shared part. The word list of a program comes from the case tables below it. '=' is a word
// break of bash, so "--output=ta" arrives as three words.
constexpr std::string_view kPrelude = R"(# SPDX-License-Identifier: Apache-2.0
# bash completion of Farlane's programs; generated from their definitions.

# Sets cur and prev as a reader would see them.
_farlane_words() {
    cur=${COMP_WORDS[COMP_CWORD]}
    prev=${COMP_WORDS[COMP_CWORD-1]}
    if [[ $cur == "=" ]]; then
        cur=""
    elif [[ $prev == "=" && $COMP_CWORD -ge 2 ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
}

# Names of functions that the verb $1 takes, asked from the daemon; nothing when it does not answer. This host's own
# exports, which come last, can be shown and nothing else.
_farlane_functions() {
    farlane --timeout 1 list 2>/dev/null | while read -r name _; do
        case $name in
            EXPORT) [[ $1 == show ]] || break ;;
            FUNCTION | no | target | path | '') ;;  # headings and remarks
            *) printf '%s\n' "$name" ;;
        esac
    done
}

_farlane_offer() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_farlane_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}
)";

std::string words_of(const std::vector<Option>& options) {
    std::string out;
    for (const Option& o : options) {
        if (o.letter != 0) out += std::string("-") + o.letter + " ";
        out += std::string(o.name) + " ";
    }
    return out;
}

std::string offer(const Option& o) {
    switch (o.completes) {
        case Completes::file: return "_farlane_files";
        case Completes::function: return "_farlane_offer \"$(_farlane_functions \"$verb\")\"";
        case Completes::choice: {
            std::string words;
            for (const std::string_view c : o.choices) words += (words.empty() ? "" : " ") + std::string(c);
            return "_farlane_offer \"" + words + "\"";
        }
        case Completes::nothing: break;
    }
    return "COMPREPLY=()";
}

/// Case rows for the options of one level that take a value: what may follow them.
std::string value_rows(const std::string& verb_pattern, const std::vector<Option>& options) {
    std::string out;
    for (const Option& o : options) {
        if (o.value.empty()) continue;
        std::string pattern = verb_pattern + ":" + std::string(o.name);
        if (o.letter != 0) pattern += " | " + verb_pattern + ":-" + o.letter;
        out += "        " + pattern + ") " + offer(o) + "; return ;;\n";
    }
    return out;
}

std::string verbs_of(const Program& program) {
    std::string out;
    for (const Verb& v : program.verbs) out += (out.empty() ? "" : " ") + std::string(v.name);
    return out;
}

/// Options that take a value, as a pattern: the word behind them is never the verb.
std::string takes_value(const Program& program) {
    std::string out;
    const auto add = [&](const std::vector<Option>& options) {
        for (const Option& o : options) {
            if (o.value.empty()) continue;
            if (!out.empty()) out += " | ";
            out += o.name;
            if (o.letter != 0) out += std::string(" | -") + o.letter;
        }
    };
    add(program.self.options);
    for (const Verb& v : program.verbs) add(v.options);
    return out;
}

std::string find_verb(const Program& program) {
    std::string out = "    local verb=\"\" word skip=no i\n";
    if (program.verbs.empty()) return out;
    out +=
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n        word=${COMP_WORDS[i]}\n"
        "        if [[ $skip == yes ]]; then\n"
        "            if [[ $word != \"=\" ]]; then skip=no; fi\n            continue\n        fi\n"
        "        case \"$word\" in\n";
    const std::string values = takes_value(program);
    if (!values.empty()) out += "            " + values + ") skip=yes ;;\n";
    out += "            -*) ;;\n            *) verb=$word; break ;;\n        esac\n    done\n";
    return out;
}

std::string word_rows(const Program& program) {
    const std::string global = words_of(program.self.options) + "--help";
    std::string out = "    case \"$verb:$cur\" in\n";
    for (const Verb& v : program.verbs) {
        const std::string name(v.name);
        out += "        " + name + ":-*) _farlane_offer \"" + words_of(v.options) + global + "\" ;;\n";
        if (!v.arguments.empty()) out += "        " + name + ":*) " + offer(v.arguments.front()) + " ;;\n";
    }
    out += "        :-*) _farlane_offer \"" + global + " --version\" ;;\n";
    if (!program.verbs.empty()) out += "        :*) _farlane_offer \"" + verbs_of(program) + "\" ;;\n";
    if (!program.self.arguments.empty()) out += "        :*) " + offer(program.self.arguments.front()) + " ;;\n";
    return out + "        *) COMPREPLY=() ;;\n    esac\n";
}

std::string function_of(const Program& program) {
    std::string name(program.self.name);
    std::string function = "_" + name;
    for (char& c : function)
        if (c == '-') c = '_';
    function += "_complete";
    std::string rows;
    for (const Verb& v : program.verbs) rows += value_rows(std::string(v.name), v.options);
    rows += value_rows("*", program.self.options);
    std::string out = "\n" + function + "() {\n    local cur prev\n    _farlane_words\n" + find_verb(program);
    if (!rows.empty()) out += "    case \"$verb:$prev\" in\n" + rows + "    esac\n";
    return out + word_rows(program) + "}\ncomplete -F " + function + " " + name + "\n";
}

}  // namespace

std::string bash_completion(std::span<const Program* const> programs) {
    std::string out(kPrelude);
    for (const Program* p : programs) out += function_of(*p);
    return out;
}

}  // namespace farlane::cli
