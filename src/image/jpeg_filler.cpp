#include "image/jpeg_filler.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace outsole::image {

namespace {

using File = std::span<const std::byte>;

int byte_at(File file, std::size_t at) { return at < file.size() ? std::to_integer<int>(file[at]) : -1; }
int word_at(File file, std::size_t at) {
  return at + 1 < file.size() ? byte_at(file, at) << 8 | byte_at(file, at + 1) : -1;
}

/// Codes of 1 to 16 bits, shorter ones first, each length's in order of their symbols.
struct HuffmanTable {
  std::array<int, 17> count{};  // of codes of that length
  std::vector<int> symbols;
};

struct Component {
  int id = 0, across = 1, down = 1;  // blocks of an MCU
  int dc = 0, ac = 0;                // tables
};

/// A picture of one baseline scan.
struct Walk {
  int height_px = 0, width_px = 0, restart_interval = 0;
  std::vector<Component> components;
  std::array<HuffmanTable, 8> tables;  // DC 0 to 3, AC 0 to 3
  std::size_t scan = 0;                // where its codes begin

  std::int64_t mcus() const {
    int across = 1, down = 1;
    for (const Component& c : components) {
      across = std::max(across, c.across);
      down = std::max(down, c.down);
    }
    const auto pieces = [](int pixels, int blocks) { return (pixels + 8 * blocks - 1) / (8 * blocks); };
    return std::int64_t{pieces(height_px, down)} * pieces(width_px, across);
  }
};

bool take_tables(File file, std::size_t at, std::size_t end, Walk& walk) {
  while (at + 17 <= end) {
    const int which = byte_at(file, at);
    if ((which & 0xEF) > 3) return false;
    HuffmanTable& table = walk.tables[static_cast<std::size_t>((which >> 4) * 4 + (which & 3))];
    table = {};
    std::size_t symbols = 0;
    for (std::size_t length = 1; length <= 16; ++length) {
      table.count[length] = byte_at(file, at + length);
      symbols += static_cast<std::size_t>(table.count[length]);
    }
    at += 17;
    if (symbols > 256 || at + symbols > end) return false;
    for (std::size_t i = 0; i < symbols; ++i) table.symbols.push_back(byte_at(file, at + i));
    at += symbols;
  }
  return at == end;
}

bool take_frame(File file, std::size_t at, Walk& walk) {
  walk.height_px = word_at(file, at + 1);
  walk.width_px = word_at(file, at + 3);
  const int components = byte_at(file, at + 5);
  if (walk.height_px <= 0 || walk.width_px <= 0 || components < 1 || components > 4) return false;
  for (int c = 0; c < components; ++c) {
    const std::size_t entry = at + 6 + 3 * static_cast<std::size_t>(c);
    const int sampling = byte_at(file, entry + 1);
    Component component{byte_at(file, entry), sampling >> 4, sampling & 15};
    if (sampling <= 0 || component.across < 1 || component.across > 4 || component.down < 1 || component.down > 4) {
      return false;
    }
    if (components == 1) component.across = component.down = 1;  // a scan of one component goes block by block
    walk.components.push_back(component);
  }
  return true;
}

bool take_scan(File file, std::size_t at, Walk& walk) {
  if (byte_at(file, at) != static_cast<int>(walk.components.size())) return false;
  for (std::size_t c = 0; c < walk.components.size(); ++c) {
    const int tables = byte_at(file, at + 2 + 2 * c);
    if (byte_at(file, at + 1 + 2 * c) != walk.components[c].id || tables < 0 || (tables & 0xCC) != 0) return false;
    walk.components[c].dc = tables >> 4;
    walk.components[c].ac = 4 + (tables & 3);
  }
  return true;
}

/// Reads the segments up to the scan; nothing for what is not one baseline scan.
std::optional<Walk> walk_of(File file) {
  Walk walk;
  for (std::size_t at = 2; at + 4 <= file.size();) {
    if (byte_at(file, at) != 0xFF) return std::nullopt;
    const int marker = byte_at(file, at + 1), length = word_at(file, at + 2);
    if (marker == 0xFF) {
      ++at;
      continue;
    }
    if (length < 2) return std::nullopt;
    const std::size_t content = at + 4, end = at + 2 + static_cast<std::size_t>(length);
    const bool is_frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (is_frame && (marker > 0xC1 || !walk.components.empty() || !take_frame(file, content, walk)))
      return std::nullopt;
    if (marker == 0xC4 && !take_tables(file, content, std::min(end, file.size()), walk)) return std::nullopt;
    if (marker == 0xDD) walk.restart_interval = std::max(0, word_at(file, content));
    if (marker == 0xDA) {
      if (walk.components.empty() || !take_scan(file, content, walk)) return std::nullopt;
      walk.scan = end;
      return walk;
    }
    at = end;
  }
  return std::nullopt;
}

/// The bits of a scan: 0xFF 0x00 stands for 0xFF, and any other marker ends them.
class Bits {
 public:
  Bits(File file, std::size_t at) : file_(file), at_(at) {}

  /// -1 at the end.
  int next() {
    const int byte = byte_at(file_, at_);
    if (byte < 0 || (byte == 0xFF && byte_at(file_, at_ + 1) != 0)) return -1;
    const int bit = byte >> (7 - used_) & 1;
    if (++used_ == 8) skip_byte();
    return bit;
  }

  /// Whether the rest of the byte is ones; goes on to the next.
  bool end_byte() {
    bool is_ones = true;
    while (used_ != 0) is_ones &= next() == 1;
    return is_ones;
  }

  /// Passes a restart marker.
  bool restart() {
    while (byte_at(file_, at_) == 0xFF && byte_at(file_, at_ + 1) == 0xFF) ++at_;
    const int marker = byte_at(file_, at_ + 1);
    if (byte_at(file_, at_) != 0xFF || marker < 0xD0 || marker > 0xD7) return false;
    at_ += 2;
    return true;
  }

  std::size_t at() const { return at_; }

 private:
  void skip_byte() {
    at_ += byte_at(file_, at_) == 0xFF ? 2 : 1;
    used_ = 0;
  }

  File file_;
  std::size_t at_;
  int used_ = 0;  // bits of the byte at at_
};

/// -1: the bits end, or are no code.
int symbol(Bits& bits, const HuffmanTable& table) {
  int code = 0, first = 0;
  std::size_t index = 0;
  for (std::size_t length = 1; length <= 16; ++length) {
    const int bit = bits.next();
    if (bit < 0) return -1;
    code |= bit;
    if (code - first < table.count[length]) return table.symbols[index + static_cast<std::size_t>(code - first)];
    index += static_cast<std::size_t>(table.count[length]);
    first = (first + table.count[length]) << 1;
    code <<= 1;
  }
  return -1;
}

bool skip(Bits& bits, int count) {
  for (; count > 0; --count) {
    if (bits.next() < 0) return false;
  }
  return true;
}

bool walk_block(Bits& bits, const HuffmanTable& dc, const HuffmanTable& ac) {
  const int dc_bits = symbol(bits, dc);
  if (dc_bits < 0 || dc_bits > 15 || !skip(bits, dc_bits)) return false;
  for (int k = 1; k < 64; ++k) {
    const int run_and_bits = symbol(bits, ac);
    if (run_and_bits < 0) return false;
    const int run = run_and_bits >> 4, ac_bits = run_and_bits & 15;
    if (ac_bits == 0 && run != 15) return true;
    k += run;
    if (k > 63 || !skip(bits, ac_bits)) return false;
  }
  return true;
}

bool walk_mcu(Bits& bits, const Walk& walk) {
  for (const Component& c : walk.components) {
    for (int block = 0; block < c.across * c.down; ++block) {
      const auto &dc = walk.tables[static_cast<std::size_t>(c.dc)], &ac = walk.tables[static_cast<std::size_t>(c.ac)];
      if (!walk_block(bits, dc, ac)) return false;
    }
  }
  return true;
}

/// Whether the bits are whole MCUs up to a marker, and ones after them.
bool goes_on(Bits bits, const Walk& walk) {
  bool has_mcu = false;
  for (;;) {
    Bits after = bits;
    if (!walk_mcu(after, walk)) break;
    bits = after;
    has_mcu = true;
  }
  return has_mcu && bits.end_byte() && bits.next() < 0;
}

/// The bytes from `at` up to the marker that ends the picture.
File bytes_before_end(File file, std::size_t at) {
  std::size_t end = at;
  while (end + 1 < file.size() && !(byte_at(file, end) == 0xFF && byte_at(file, end + 1) == 0xD9)) ++end;
  return file.subspan(std::min(at, file.size()), end - std::min(at, end));
}

bool is_one_value(File bytes) {
  return std::ranges::all_of(bytes, [&](std::byte b) { return b == bytes.front(); });
}

}  // namespace

bool scan_went_astray(File file) {
  const std::optional<Walk> walk = walk_of(file);
  if (!walk) return false;
  Bits bits(file, walk->scan);
  const std::int64_t mcus = walk->mcus();
  for (std::int64_t mcu = 0; mcu < mcus; ++mcu) {
    const bool is_restart = walk->restart_interval > 0 && mcu > 0 && mcu % walk->restart_interval == 0;
    if (is_restart && !(bits.end_byte() && bits.restart())) return true;
    if (!walk_mcu(bits, *walk)) return true;
  }
  const Bits end = bits;
  if (!bits.end_byte()) return true;
  if (is_one_value(bytes_before_end(file, bits.at()))) return false;
  return goes_on(end, *walk);
}

}  // namespace outsole::image
