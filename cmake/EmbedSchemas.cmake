# Writes OUTPUT, a C++ source that holds the text of every file of the list SCHEMAS.
set(text "// Generated from data_schemas/ by cmake/EmbedSchemas.cmake.\n#include <string_view>\n#include <vector>\n\n")
string(APPEND text "namespace outsole::store {\nstd::vector<std::string_view> embedded_schemas() {\n  return {\n")
foreach(schema IN LISTS SCHEMAS)
  file(READ ${schema} content)
  string(APPEND text "      R\"schema(${content})schema\",\n")
endforeach()
string(APPEND text "  };\n}\n}  // namespace outsole::store\n")
file(WRITE ${OUTPUT} "${text}")
