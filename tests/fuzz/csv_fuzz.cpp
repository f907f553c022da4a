// Tables: read, or refused by name; what was read is the same after writing and reading again.

#include "core/csv.h"
#include "fuzz.h"

namespace {

std::string text_of(const outsole::CsvTable& table) {
  std::string text;
  const auto add = [&](const std::vector<std::string>& fields) {
    for (std::size_t i = 0; i < fields.size(); ++i) text += (i > 0 ? "," : "") + outsole::csv_field(fields[i]);
    text += "\n";
  };
  add(table.columns);
  for (const auto& row : table.rows) add(row);
  return text;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace outsole;
  const auto path = fuzz::write_scratch("table.csv", fuzz::as_text(data, size));
  fuzz::reads_or_refuses("table.csv", [&] {
    const CsvTable table = read_csv(path);
    for (const auto& row : table.rows)
      fuzz::require(row.size() == table.columns.size(), "rows are as long as the header");
    for (const std::string& column : table.columns)
      fuzz::require(table.find_column(column).has_value(), "columns are found");
    // A blank line is no record, so one lone empty field does not survive; and a byte order mark is taken off.
    const bool is_lossless = table.columns.size() > 1 && !table.columns.front().starts_with("\xEF\xBB\xBF");
    if (!is_lossless) return;
    const CsvTable again = read_csv(fuzz::write_scratch("table.csv", text_of(table)));
    fuzz::require(again.columns == table.columns && again.rows == table.rows, "a table survives writing and reading");
  });
  return 0;
}
