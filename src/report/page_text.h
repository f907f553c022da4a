#pragma once
// The pages' text: templates (page/*.html, in Mustache's notation) filled with facts.

#include <nlohmann/json.hpp>
#include <string>

namespace outsole::report {

enum class Page { kList, kMark, kEvaluation, kWear };

/// The page of these facts. Every text among them is shown as it is: markup is escaped, and characters that a reader
/// would not see, or that reverse what follows, appear as \x1b. A null, an empty text and `false` leave out the part
/// that is for them. Any thread.
std::string page_of(Page page, const nlohmann::json& facts);

const std::string& page_style();   // page.css
const std::string& page_script();  // page.js

/// SHA-256 of templates, style and script: pages of another version are others.
std::string page_version();

}  // namespace outsole::report
