#pragma once
// Bytes before the end of a JPEG that belong to nothing: filler of the program that wrote it, or pixels that a damaged
// byte made the decoder run past? Libjpeg says the same of both.

#include <cstddef>
#include <span>

namespace outsole::image {

/// For a JPEG that libjpeg decodes to the end without an error, and that has superfluous bytes: whether they look like
/// the picture's own. Walks the Huffman codes of a file of one baseline scan: pixels that end within a byte are
/// followed by ones up to its end, and superfluous bytes that are again whole blocks up to the end, padded with ones,
/// are pixels. Of other files (progressive, arithmetic, several scans) it knows nothing: false.
bool scan_went_astray(std::span<const std::byte> file);

}  // namespace outsole::image
