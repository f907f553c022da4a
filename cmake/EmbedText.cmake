# Writes OUTPUT, a C++ source in which NAMESPACE::NAME is the text of the file TEXT.
file(READ ${TEXT} content)
file(WRITE ${OUTPUT} "// Generated from ${TEXT} by cmake/EmbedText.cmake.\nnamespace ${NAMESPACE} {\nextern const char* const ${NAME};\nconst char* const ${NAME} = R\"text(${content})text\";\n}  // namespace ${NAMESPACE}\n")
