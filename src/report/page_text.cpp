#include "report/page_text.h"

#include <kainjow/mustache.hpp>
#include <span>

#include "core/errors.h"
#include "core/sha256.h"
#include "core/text.h"

namespace outsole::report {

// Generated from page/ by the build.
extern const char* const kListTemplate;
extern const char* const kMarkTemplate;
extern const char* const kEvaluationTemplate;
extern const char* const kWearTemplate;
extern const char* const kStyle;
extern const char* const kScript;

namespace {

using kainjow::mustache::data;

data mustache_of(const nlohmann::json& fact) {
  switch (fact.type()) {
    case nlohmann::json::value_t::object: {
      data object(data::type::object);
      for (const auto& [name, value] : fact.items()) object.set(name, mustache_of(value));
      return object;
    }
    case nlohmann::json::value_t::array: {
      data list(data::type::list);
      for (const auto& value : fact) list.push_back(mustache_of(value));
      return list;
    }
    case nlohmann::json::value_t::string: {
      const auto& text = fact.get_ref<const std::string&>();
      return text.empty() ? data(data::type::bool_false) : data(outsole::printable(text));
    }
    case nlohmann::json::value_t::boolean:
      return data(fact.get<bool>() ? data::type::bool_true : data::type::bool_false);
    case nlohmann::json::value_t::null:
      return data(data::type::bool_false);
    default:
      return data(fact.dump());
  }
}

const char* template_of(Page page) {
  switch (page) {
    case Page::kList:
      return kListTemplate;
    case Page::kMark:
      return kMarkTemplate;
    case Page::kEvaluation:
      return kEvaluationTemplate;
    case Page::kWear:
      break;
  }
  return kWearTemplate;
}

}  // namespace

std::string page_of(Page page, const nlohmann::json& facts) {
  kainjow::mustache::mustache text(template_of(page));
  ensure(text.is_valid(), "a page's template is valid: " + text.error_message());
  return text.render(mustache_of(facts));
}

const std::string& page_style() {
  static const std::string kText = kStyle;
  return kText;
}

const std::string& page_script() {
  static const std::string kText = kScript;
  return kText;
}

std::string page_version() {
  Sha256 digest;
  for (const char* text : {kListTemplate, kMarkTemplate, kEvaluationTemplate, kWearTemplate, kStyle, kScript}) {
    digest.update(std::as_bytes(std::span(std::string_view(text))));
  }
  return digest.hex();
}

}  // namespace outsole::report
